"""Acme LMS for ltihost."""
