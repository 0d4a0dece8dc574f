"""The pytest plugin that plugin authors get with ltihost."""
