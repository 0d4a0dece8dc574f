"""ltihost, an open LTI 1.3 Advantage tool host."""

__version__ = "0.1.0"
