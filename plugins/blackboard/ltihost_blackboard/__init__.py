"""Blackboard for ltihost."""
