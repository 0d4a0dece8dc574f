"""The REST API for applications, `/api/v1`."""

from ltihost.api.application import build_api

__all__ = ["build_api"]
