"""The shapes of the API: what applications receive. Every field is always present, null where the platform gave nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ltihost.records import Cookies, MessageName, RoleName, Rung, Scope


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ExchangeRequest(Shape):
    code: str = Field(
        min_length=1, max_length=200, description="The one-time code from the launch URL; good for 60 s, once."
    )


class TenantShape(Shape):
    id: str
    slug: str
    name: str


class RegistrationShape(Shape):
    id: str
    name: str
    lms: str
    plugin: str
    issuer: str


class UserShape(Shape):
    id: str | None = Field(description="Our id of this person; null for an anonymous one.")
    subject: str | None
    name: str | None
    given_name: str | None
    family_name: str | None
    middle_name: str | None
    email: str | None
    picture: str | None
    locale: str | None
    anonymous: bool


class RoleShape(Shape):
    scope: Scope
    role: str
    sub_role: str | None
    uri: str


class ApplicationRolesShape(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    global_: str | None = Field(alias="global", description="What the role rules give everywhere in the application.")
    group: str | None = Field(description="What the role rules give in this context's group.")


class ContextShape(Shape):
    id: str | None
    lms_id: str
    title: str | None
    label: str | None
    types: list[str]


class ResourceLinkShape(Shape):
    id: str | None
    lms_id: str
    title: str | None
    description: str | None


class LineItemShape(Shape):
    """The column of the LMS's gradebook that belongs to the link. Post scores to its `id`."""

    id: str
    label: str | None = Field(description="Null until the LMS was asked for it.")
    maximum: float | None = Field(description="Null until the LMS was asked for it.")


class LisShape(Shape):
    person_sourcedid: str | None
    course_section_sourcedid: str | None
    course_offering_sourcedid: str | None


class PresentationShape(Shape):
    target: Literal["frame", "iframe", "window"] | None
    return_url: str | None
    locale: str | None
    width: int | None
    height: int | None


class DeepLinkingShape(Shape):
    id: str | None
    accept_types: list[str]
    accept_targets: list[str]
    accept_multiple: bool
    accept_line_item: bool | None
    title: str | None
    text: str | None


class CapabilitiesShape(Shape):
    grades: bool
    line_items: bool
    results: bool
    roster: bool
    deep_linking: bool
    groups: bool
    names: bool
    emails: bool
    pictures: bool


class SessionShape(Shape):
    id: str
    expires_at: datetime


class BrowserShape(Shape):
    rung: Rung
    cookies: Cookies


class LaunchShape(Shape):
    """An accepted launch."""

    id: str
    message: MessageName
    launched_at: datetime
    target_link_uri: str | None
    tenant: TenantShape
    registration: RegistrationShape
    deployment_id: str
    user: UserShape
    role: RoleName
    roles: list[RoleShape]
    application_roles: ApplicationRolesShape
    test_user: bool
    context: ContextShape | None
    resource_link: ResourceLinkShape | None
    line_item: LineItemShape | None
    custom: dict[str, str]
    lis: LisShape
    for_user: UserShape | None = Field(description="Whose submission is reviewed; null in other messages.")
    groups: list[str] | None
    presentation: PresentationShape
    deep_linking: DeepLinkingShape | None
    capabilities: CapabilitiesShape
    session: SessionShape
    browser: BrowserShape
    warnings: list[str]
