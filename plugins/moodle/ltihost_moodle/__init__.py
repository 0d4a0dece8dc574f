"""Moodle for ltihost."""
