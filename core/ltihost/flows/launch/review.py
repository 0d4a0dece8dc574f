"""Submission review: a person opens somebody's work from the gradebook. Submission Review 1.0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ltihost.errors import Refused
from ltihost.host import Host
from ltihost.plugins.lti_adapter import LtiAdapter
from ltihost.records import Launch
from ltihost.store import directory

#: Who may see the work of others. A content developer writes exercises and a mentor watches over people; neither grades.
GRADERS = frozenset({"instructor", "teaching_assistant", "administrator"})


async def admit_reviewer(host: Host, launch: Launch, adapter: LtiAdapter, claims: Mapping[str, Any]) -> Launch:
    """The launch with our id of the person whose work is opened, if the host knows them.

    Raises Refused (`submission_not_own`) for somebody without a grading role who asks for another's work.
    """
    person = launch.for_user
    if person is None:
        return launch
    if launch.role not in GRADERS and person.subject != launch.person.subject:
        raise Refused("submission_not_own", "roles", expected="a grading role, or one's own work", received=launch.role)
    key = adapter.user_key({**claims, "sub": person.subject})
    registration_id = launch.binding.registration.id
    user_id = key and await host.database.run(launch.binding.tenant.id, directory.user_of_key, registration_id, key)
    return replace(launch, for_user=replace(person, id=user_id or None))
