"""The pages of the campus: templates, headers and the choices that a person can make on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import FormData, QueryParams
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from ltihost.testing.parts import Context, Link, Page, Person
from ltihost.testing.platform import FAULTS, SimulatedPlatform
from ltihost.testing.profile import Profile
from ltihost.testing.services.rules_content import Choice

STATIC = Path(str(files("ltihost.testing") / "static"))
#: How platform storage behaves, and how the pages call it.
STORAGE: Mapping[str, str] = {
    "answers": "Platform storage works",
    "silent": "Platform storage is announced and never answers",
    "legacy": "Platform storage knows only the old org.imsglobal names",
    "wrong_value": "Platform storage answers a wrong value",
    "get_error": "Platform storage keeps values and answers an error when it is asked for one",
    "get_silent": "Platform storage keeps values and never answers when it is asked for one",
    "other_frame": "Platform storage is in another frame than announced",
    "none": "No platform storage",
}


#: A course may have a thousand people; the list of whom one can sign in as stays short.
_SWITCHABLE = 40


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person wants to go wrong: keys of FAULTS, and one of STORAGE."""

    faults: tuple[str, ...] = ()
    storage: str = "answers"

    @classmethod
    def read(cls, fields: QueryParams | FormData) -> Choices:
        """From `fault` (repeatable) and `storage`. An unknown one answers 400."""
        faults = tuple(str(fault) for fault in fields.getlist("fault") if fault)
        storage = str(fields.get("storage") or "answers")
        if not set(faults) <= FAULTS.keys() or storage not in STORAGE:
            raise HTTPException(400, f"known faults: {', '.join(FAULTS)}; known storage: {', '.join(STORAGE)}")
        return cls(faults, storage)

    @property
    def query(self) -> list[tuple[str, str]]:
        storage = [("storage", self.storage)] if self.storage != "answers" else []
        return [*(("fault", fault) for fault in self.faults), *storage]


class CampusPages:
    """Renders pages. `origins` are the campus's own: its pages are framed and submitted there only."""

    def __init__(self, platforms: Mapping[str, SimulatedPlatform], origins: tuple[str, ...]) -> None:
        self._platforms = platforms
        self._origins = " ".join(sorted(set(origins)))
        self._templates = Environment(
            loader=PackageLoader("ltihost.testing"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._templates.globals.update(fault_names=FAULTS, storage_names=STORAGE, launch_url=launch_url)

    def front(self) -> Response:
        return self._page("front.html", platforms=self._platforms.values())

    def home(self, platform: SimulatedPlatform, person: Person) -> Response:
        return self._lms_page("home.html", platform, person)

    def context(self, platform: SimulatedPlatform, person: Person, context: Context) -> Response:
        return self._lms_page("context.html", platform, person, context=context, here="home")

    def tool(
        self, platform: SimulatedPlatform, person: Person, context: Context, link: Link | None, choices: Choices
    ) -> Response:
        """A link (or, without one, the choice of content) with the tool in a frame."""
        here = "link" if link else "pick"
        return self._lms_page("tool.html", platform, person, context=context, link=link, choices=choices, here=here)

    def embeds(self, platform: SimulatedPlatform, person: Person, context: Context, choices: Choices) -> Response:
        """A page of text with the tool in many places at once."""
        return self._lms_page("embeds.html", platform, person, context=context, choices=choices, here="embeds")

    def teaching(
        self,
        name: str,
        platform: SimulatedPlatform,
        person: Person,
        context: Context | None,
        *,
        here: str,
        **values: Any,
    ) -> Response:
        """A page for those who run a course, or the LMS."""
        return self._lms_page(name, platform, person, context=context, here=here, **values)

    def chosen(
        self, platform: SimulatedPlatform, choice: Choice, key: str | None, links: Sequence[Link] = ()
    ) -> Response:
        """What a tool gave back: with a `key` the teacher is asked first, else `links` were added."""
        return self._page("chosen.html", profile=platform.profile, choice=choice, key=key, links=links)

    def submit(self, platform: SimulatedPlatform, url: str, fields: Mapping[str, str]) -> Response:
        """A page that is nothing but a form, sent by itself or by a button."""
        return self._page("submit.html", profile=platform.profile, url=url, fields=fields)

    def problem(self, platform: SimulatedPlatform, page: Page) -> Response:
        """The LMS's own error page."""
        return self._page("problem.html", page.status, profile=platform.profile, page=page)

    def storage(self, choices: Choices) -> Response:
        return self._page("storage.html", choices=choices)

    def look(self, profile: Profile) -> Response:
        """The LMS's colours as CSS variables."""
        colours = {name.replace("_", "-"): value for name, value in asdict(profile.look).items() if name != "layout"}
        rules = " ".join(f"--{name}: {value};" for name, value in colours.items())
        return Response(f".look-{profile.key} {{ {rules} }}\n", media_type="text/css")

    def _lms_page(self, name: str, platform: SimulatedPlatform, person: Person, **values: Any) -> Response:
        given: dict[str, Any] = {"context": None, "link": None, "choices": Choices(), "here": "courses", **values}
        framed = platform.profile.storage_frame not in (None, "_parent") and given["choices"].storage != "none"
        switchable = list(platform.people.values())[:_SWITCHABLE]
        return self._page(
            name,
            switchable=switchable,
            platform=platform,
            profile=platform.profile,
            person=person,
            has_storage_frame=framed,
            **given,
        )

    def _page(self, name: str, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(self._templates.get_template(name).render(**values), status, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        """No form-action: Chromium applies it to the redirects behind a form, and those are the tool's affair."""
        return {
            "Content-Security-Policy": (
                "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; frame-src http: https:; "
                f"base-uri 'none'; frame-ancestors 'self' {self._origins}"
            ),
            "Cache-Control": "no-store",
        }


def launch_url(
    platform: SimulatedPlatform,
    person: str,
    *,
    link: str | None = None,
    context: str | None = None,
    review: tuple[int, str] | None = None,
    choices: Choices | None = None,
) -> str:
    """Where a browser begins a launch on the campus: `person` opens `link`, picks content for `context`, or reviews
    what somebody handed in (number of the column, slug of that person).
    """
    if review:
        asked = urlencode({"person": person, "column": review[0], "for_user": review[1]})
        return f"{platform.base_url}/_launch?{asked}"
    place = ("link", link) if link else ("context", context or "")
    extra = choices.query if choices else []
    return f"{platform.base_url}/_launch?{urlencode([('person', person), place, *extra])}"
