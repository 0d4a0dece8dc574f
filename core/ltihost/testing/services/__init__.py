"""The services of a simulated LMS: access tokens, gradebook, roster, deep linking and notices.

`rules_*` hold what an LMS's profile may override, one class per service, each method the spec's answer until then. The
modules beside them serve them over HTTP. `gradebook` and `faults` are the state that tests and pages set.
"""
