"""The records that a `profile.Profile` is made of and works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Message = Literal["LtiResourceLinkRequest", "LtiDeepLinkingRequest", "LtiSubmissionReviewRequest"]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account. `slug` names them in campus URLs; `number` is what their ids are made from.

    `everywhere` are role URIs that hold outside any context. An anonymous person has no `sub`, name or roles.
    """

    slug: str
    number: int
    given_name: str
    family_name: str
    sourcedid: str = ""
    everywhere: tuple[str, ...] = ()
    anonymous: bool = False

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}".strip()

    @property
    def email(self) -> str:
        return f"{self.slug}@campus.example"

    @property
    def initials(self) -> str:
        return (self.given_name[:1] + self.family_name[:1]).upper()


@dataclass(frozen=True, slots=True)
class Link:
    """A link to the tool. `maximum` are its points, None if it is not graded; `target` is its own URL, if any.

    `placement`: "content" stands in the context's list, "embed" on the page of embeds, "navigation" in the context's
    menu, where no real resource link is behind it. `history` are the numbers of the links it was copied from, the
    nearest first. `window` opens it in a window of its own.
    """

    slug: str
    number: int
    title: str
    description: str = ""
    maximum: float | None = None
    placement: Literal["content", "embed", "navigation"] = "content"
    custom: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    history: tuple[int, ...] = ()
    window: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the gradebook: a line item. AGS 3.2.

    `context` is the slug of the context it stands in, `link` that of the resource link it is tied to. `coupled`: it came
    with that link. `owner` is the client id of the tool that made it, None for a coupled one. `locked`: no grade in it
    may change. `extra` are further members that the tool gave it. `attempts_allowed` can be handed in, None for any
    number.
    """

    number: int
    context: str
    label: str
    maximum: float
    link: str | None = None
    coupled: bool = False
    owner: str | None = None
    resource_id: str = ""
    tag: str = ""
    starts_at: str | None = None
    ends_at: str | None = None
    grades_released: bool | None = None
    submission_review: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    attempts_allowed: int | None = None
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in the gradebook for one person and column.

    `given` are the points that came from the tool (of the column's maximum), `override` the teacher's own; None where
    there are none. `at` is the timestamp of the last change (Unix seconds). `attempts` counts what was handed in.
    """

    given: float | None = None
    override: float | None = None
    comments: tuple[str, ...] = ()
    at: float | None = None
    activity: str = ""
    grading: str = ""
    started_at: str | None = None
    submitted_at: str | None = None
    attempts: int = 0
    late: bool = False

    @property
    def shown(self) -> float | None:
        """The grade that students see: the teacher's, if there is one."""
        return self.given if self.override is None else self.override


@dataclass(frozen=True, slots=True)
class Context:
    """A course, or the whole institution when `account` is true. `enrolled` maps a person's slug to a kind's key.

    `history` are the numbers of the contexts it was copied from, the nearest first.
    """

    slug: str
    number: int
    label: str
    title: str
    sourcedid: str
    enrolled: Mapping[str, str]
    links: tuple[Link, ...] = ()
    account: bool = False
    summary: str = ""
    history: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """A role as this LMS knows it: how its pages call it, which role URIs it sends, whether it may choose content."""

    label: str
    roles: tuple[str, ...] = ()
    picks: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """Colours of the LMS's pages (any CSS colour; `mark` is the badge of its name) and where its navigation stands.

    "rail": narrow dark bar at the left; "topbar": bar across the top; "panel": wide bar at the left and the context as
    a sheet above it; "plain": a light bar at the left.
    """

    accent: str = "#0f766e"
    accent_ink: str = "#ffffff"
    mark: str = "#0f766e"
    chrome: str = "#ffffff"
    chrome_ink: str = "#1f2937"
    ground: str = "#f6f7f9"
    layout: Literal["rail", "topbar", "panel", "plain"] = "plain"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as an LMS stores it. `custom` are parameters that every launch carries (variables allowed).

    `scopes` are the service scopes its administrator granted, None for all.
    """

    client_id: str
    deployment_id: str
    login_url: str
    launch_url: str
    redirect_uris: tuple[str, ...]
    jwks_url: str
    target_link_uri: str
    name: str
    custom: Mapping[str, str] = field(default_factory=dict)
    scopes: frozenset[str] | None = None

    def may(self, scope: str) -> bool:
        return self.scopes is None or scope in self.scopes


@dataclass(frozen=True, slots=True)
class Opening:
    """One launch on its way: a person opens a link (or asks to choose content) with a tool.

    `serial` is random and names this launch, `now` are Unix seconds by the LMS's clock, `names` says whether names and
    e-mail may leave, `storage` whether the login offers platform storage. `column` is the only gradebook column of the
    link, None if there are none or several. `for_user` is whose submission is reviewed.
    """

    base_url: str
    tool: Tool
    person: Person
    context: Context
    link: Link | None
    message: Message
    serial: str
    now: int
    names: bool = True
    storage: bool = True
    column: Column | None = None
    for_user: Person | None = None

    @property
    def kind(self) -> str | None:
        return self.context.enrolled.get(self.person.slug)

    @property
    def picking(self) -> bool:
        return self.message == "LtiDeepLinkingRequest"

    @property
    def target(self) -> str:
        reviewed = self.review.get("url")
        return reviewed or (self.link and self.link.target) or self.tool.target_link_uri

    @property
    def review(self) -> Mapping[str, Any]:
        """What the column says about reviewing, in a review."""
        return (self.for_user and self.column and self.column.submission_review) or {}


@dataclass(frozen=True, slots=True)
class Page:
    """The LMS shows a page of its own; the tool hears nothing."""

    status: int
    title: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class ErrorPost:
    """The LMS posts an error to the tool's redirect URI. OpenID Connect Core 3.1.2.6."""

    error: str
    description: str | None = None


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """What reached the authorisation endpoint, and what the LMS remembers of it.

    `opening` is the launch that the message hint names, None if there is none. `spent`: it was answered before.
    `late`: the hint is older than this LMS keeps it. `signed_in`: the slug of the person the browser's own LMS session
    belongs to, None without one.
    """

    params: Mapping[str, str]
    opening: Opening | None
    spent: bool = False
    late: bool = False
    signed_in: str | None = None

    @property
    def other_session(self) -> bool:
        """Whether the browser's session in the LMS is another person's than the launch."""
        return self.opening is not None and self.signed_in not in (None, self.opening.person.slug)

    def lacks(self, *names: str) -> list[str]:
        """Those of `names` that are absent or empty."""
        return [name for name in names if not self.params.get(name)]
