"""Every service of one LMS, as routes below its key."""

from __future__ import annotations

from starlette.routing import Route

from ltihost.testing.platform import SimulatedPlatform
from ltihost.testing.services.ags import GradeService
from ltihost.testing.services.door import Door
from ltihost.testing.services.notices import NoticeService
from ltihost.testing.services.nrps import RosterService
from ltihost.testing.services.tokens import TokenDesk


def service_routes(platform: SimulatedPlatform, desk: TokenDesk, notices: NoticeService) -> list[Route]:
    """The token endpoint and what its tokens open."""
    door = Door(platform, desk)
    return [
        Route(platform.profile.token_path, desk.answer, methods=["POST"]),
        *GradeService(platform).routes(door),
        *RosterService(platform).routes(door),
        *notices.routes(door),
    ]
