"""Canvas for ltihost."""
