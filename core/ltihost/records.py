"""The frozen records that cross the seams of the host: between flows, store, plugins and applications."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: The tenant that stands for the host itself: it owns what belongs to no customer (shared registrations,
#: attempts that could not be bound). It is a real row, so that "tenant leads every key" has no exception.
HOST = "host"

Scope = Literal["system", "institution", "context"]
RoleName = Literal[
    "administrator", "content_developer", "instructor", "teaching_assistant", "learner", "mentor", "member", "none"
]
MessageName = Literal["resource_link", "deep_linking", "submission_review", "data_privacy"]
Rung = Literal["cookie", "storage", "window"]
Cookies = Literal["partitioned", "first_party", "none"]
RegistrationState = Literal["draft", "pending", "active", "disabled"]
DeploymentState = Literal["pending", "approved", "disabled"]


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer organisation."""

    id: str
    slug: str
    name: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class Application:
    """What stands behind the host and receives launches."""

    id: str
    tenant_id: str
    slug: str
    name: str
    launch_url: str
    picker_url: str | None = None
    webhook_url: str | None = None
    allowed_targets: tuple[str, ...] = ()
    release: frozenset[str] = frozenset({"names"})


@dataclass(frozen=True, slots=True)
class Registration:
    """Trust between one platform and the host: issuer, client id, endpoints, keys, and how strict to be.

    URLs are None only while `state` is "draft". `leeway` is in seconds. `frame_origins` are the origins an
    administrator pinned for `frame-ancestors`, `storage_origins` those for platform storage messages.
    """

    id: str
    tenant_id: str
    name: str
    plugin: str
    state: RegistrationState
    issuer: str | None = None
    client_id: str | None = None
    auth_url: str | None = None
    token_url: str | None = None
    jwks_url: str | None = None
    audience: str | None = None
    home_url: str | None = None
    application_id: str | None = None
    algorithms: tuple[str, ...] = ("RS256",)
    trusted_audiences: tuple[str, ...] = ()
    leeway: int = 60
    max_token_bytes: int = 65_536
    allow_missing_kid: bool = False
    allow_anonymous: bool = False
    institution_admin: bool = False
    auto_deployments: Literal["never", "same_instance"] = "never"
    key_set: Literal["own", "host"] = "own"
    frame_origins: tuple[str, ...] = ()
    storage_origins: tuple[str, ...] = ()
    nrps: bool = True
    deep_linking: bool = True
    create_users: bool = True
    create_contexts: bool = True
    sync_roles: bool = True
    remove_on_unenrol: bool = False


@dataclass(frozen=True, slots=True)
class RoleRule:
    """An LTI role (URI or short name) gives the application these roles; None gives nothing."""

    lti_role: str
    global_role: str | None
    group_role: str | None
    registration_id: str | None = None


@dataclass(frozen=True, slots=True)
class EnabledPlugin:
    """A plugin switched on by a tenant, with that tenant's settings (secrets opened)."""

    key: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Binding:
    """The host's record for (registration, deployment): whose it is and how its launches are read.

    This is what hooks are given. `settings` are the LMS plugin's own settings for this tenant.
    """

    tenant: Tenant
    registration: Registration
    deployment_id: str
    application: Application
    plugins: tuple[EnabledPlugin, ...] = ()
    role_rules: tuple[RoleRule, ...] = ()

    @property
    def settings(self) -> Mapping[str, Any]:
        for plugin in self.plugins:
            if plugin.key == self.registration.plugin:
                return plugin.settings
        return {}


@dataclass(frozen=True, slots=True)
class Role:
    """One role as the host understands it; `uri` keeps what the LMS sent. Core spec, appendix A.2."""

    scope: Scope
    role: str
    sub_role: str | None
    uri: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who launched. `subject` is the platform's `sub`; `id` is ours and is None for an anonymous person."""

    id: str | None
    subject: str | None
    name: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    middle_name: str | None = None
    email: str | None = None
    picture: str | None = None
    locale: str | None = None

    @property
    def anonymous(self) -> bool:
        return self.subject is None


@dataclass(frozen=True, slots=True)
class Context:
    """The course (or other place) a launch came from. `types` are full URIs where the vocabulary knows them."""

    id: str | None
    lms_id: str
    title: str | None = None
    label: str | None = None
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResourceLink:
    """The link a launch came from. Absent (None on the launch) when the LMS has no real link there."""

    id: str | None
    lms_id: str
    title: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Presentation:
    target: Literal["frame", "iframe", "window"] | None = None
    return_url: str | None = None
    locale: str | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Lis:
    person_sourcedid: str | None = None
    course_section_sourcedid: str | None = None
    course_offering_sourcedid: str | None = None


@dataclass(frozen=True, slots=True)
class DeepLinking:
    """What the platform accepts back. `return_url` and `data` stay with the host and never reach the application."""

    id: str | None
    return_url: str
    data: str | None
    accept_types: tuple[str, ...]
    accept_targets: tuple[str, ...]
    accept_multiple: bool
    accept_line_item: bool | None
    title: str | None = None
    text: str | None = None
    accept_media_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Services:
    """The service URLs of a verified launch. They stay with the host; applications see `capabilities` only."""

    line_items_url: str | None = None
    line_item_url: str | None = None
    ags_scopes: tuple[str, ...] = ()
    memberships_url: str | None = None
    nrps_versions: tuple[str, ...] = ()
    groups_url: str | None = None
    notices_url: str | None = None
    notice_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Instance:
    """The LMS installation a launch says it comes from (`tool_platform` claim)."""

    guid: str | None = None
    name: str | None = None
    url: str | None = None
    family: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """An accepted, normalised message in the host's words."""

    id: str
    message: MessageName
    launched_at: float
    target_link_uri: str | None
    binding: Binding
    person: Person
    role: RoleName
    roles: tuple[Role, ...]
    test_user: bool
    context: Context | None
    resource_link: ResourceLink | None
    custom: Mapping[str, str]
    lis: Lis
    presentation: Presentation
    services: Services
    instance: Instance
    rung: Rung
    cookies: Cookies
    deep_linking: DeepLinking | None = None
    for_user: Person | None = None
    global_role: str | None = None
    group_role: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Check:
    """One check of an attempt, as an administrator sees it."""

    name: str
    status: Literal["passed", "failed", "not_reached"]
    expected: str | None = None
    received: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What became of one login or launch post. `code` is the short code the person was shown, None if all went well.

    `tenant_id` is HOST until the attempt is bound. `refusal` is a key of `errors.REASONS`, None when accepted.
    """

    id: str
    tenant_id: str
    code: str
    kind: Literal["login", "launch"]
    outcome: Literal["accepted", "refused", "waiting"]
    at: float
    refusal: str | None = None
    registration_id: str | None = None
    deployment_id: str | None = None
    message: str | None = None
    rung: Rung | None = None
    checks: tuple[Check, ...] = ()
    warnings: tuple[str, ...] = ()
    remote_address: str | None = None
    user_agent: str | None = None
    user_id: str | None = None
    resource_link_id: str | None = None
