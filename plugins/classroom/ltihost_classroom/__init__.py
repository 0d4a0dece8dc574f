"""Google Classroom for ltihost."""
