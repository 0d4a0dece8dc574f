"""A stored launch reads back as the record that it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ltihost.handover import launch_json, services_json
from ltihost.launch_record import LaunchRow, launch_record
from ltihost.records import (
    Application,
    Binding,
    Context,
    DeepLinking,
    Instance,
    Launch,
    Lis,
    Person,
    Presentation,
    Registration,
    ResourceLink,
    Role,
    Services,
    Tenant,
)

BINDING = Binding(
    Tenant("ten_1", "uni", "Uni"),
    Registration("reg_1", "ten_1", "LMS", "lti", "active"),
    "1",
    Application("app_1", "ten_1", "tool", "Tool", "https://app.example/"),
)
FULL = Launch(
    id="lch_1", message="deep_linking", launched_at=1_790_000_000.5, target_link_uri="https://app.example/pick",
    binding=BINDING, person=Person("usr_1", "7", "Ada B", "Ada", "B", "K", "a@x.example", "https://x.example/p", "en"),
    role="instructor", roles=(Role("context", "instructor", None, "uri"), Role("system", "user", "x", "uri-2")),
    test_user=True, context=Context("ctx_1", "5", "Biology", "BIO", ("type",)),
    resource_link=ResourceLink("lnk_1", "9", "Lab", "Do"), custom={"a": "b"}, lis=Lis("p", "s", "o"),
    presentation=Presentation("iframe", "https://lms.example/back", "en", 640, 480),
    services=Services("https://lms.example/l", "https://lms.example/l/1", ("s",), "https://lms.example/m", ("2.0",), "https://lms.example/g", "https://lms.example/n", ("LtiHelloWorldNotice",)),
    instance=Instance("guid", "LMS", "https://lms.example", "lms", "1"), rung="storage", cookies="none",
    deep_linking=DeepLinking("lch_1", "https://lms.example/r", "data", ("link",), ("iframe",), True, None, "T", "X", ("image/*",)),
    for_user=Person("usr_2", "8", "Ben"), global_role="g", group_role="r", warnings=("odd",),
)  # fmt: skip
BARE = replace(
    FULL, person=Person(None, None), context=None, resource_link=None, deep_linking=None, for_user=None, custom={},
    roles=(), warnings=(), global_role=None, services=Services(), instance=Instance(), presentation=Presentation(),
)  # fmt: skip


@pytest.mark.parametrize("launch", [FULL, BARE], ids=["full", "bare"])
def test_nothing_is_lost(launch: Launch) -> None:
    row = LaunchRow(
        id=launch.id,
        at=launch.launched_at,
        message=launch.message,
        rung=launch.rung,
        user_id=launch.person.id,
        context_id=launch.context.id if launch.context else None,
        resource_link_id=launch.resource_link.id if launch.resource_link else None,
        launch_json=launch_json(launch),
        services_json=services_json(launch),
    )
    assert launch_record(row, BINDING) == launch
