"""Content items: from the form in which applications give them to the wire's. Deep Linking 2.0 section 3.

An item's form is a mapping of plain values without nulls, its shape checked already; `api.content_items` shows it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ltihost.errors import Invalid
from ltihost.lti.claims import MAX_TEXT, MAX_TITLE, clean, web_url
from ltihost.lti.safe_html import safe_html
from ltihost.records import DeepLinking
from ltihost.targets import origin_of, with_query

Form = Mapping[str, Any]
#: The custom parameter by which the host knows an item again: it survives the copying of a course.
ITEM_PARAMETER = "ltihost_item"
LTI_LINK = "ltiResourceLink"
MAX_ITEMS = 200

_SIZES = {"width": "width", "height": "height"}
_WINDOW = {"target_name": "targetName", "features": "windowFeatures"} | _SIZES
_LINE_ITEM = {"label": "label", "resource_id": "resourceId", "tag": "tag", "grades_released": "gradesReleased"}
_DATES = {"starts_at": "startDateTime", "ends_at": "endDateTime"}


def check_answer(forms: Sequence[Form], settings: DeepLinking) -> None:
    """Whether the platform takes items of these kinds and so many of them. Raises Invalid.

    A platform that does not say whether it takes several takes one. Deep Linking 4.4.1.
    """
    if len(forms) > (MAX_ITEMS if settings.accept_multiple else 1):
        most = f"at most {MAX_ITEMS} items" if settings.accept_multiple else "one item"
        raise Invalid("content_items_too_many", f"The platform is given {most} at a time.")
    for place, form in enumerate(forms):
        if form["type"] not in settings.accept_types:
            taken = ", ".join(settings.accept_types)
            raise _fault("content_item_type", place, f"this platform takes {taken}, not {form['type']}")
        if form["type"] == "file" and not _media_type_accepted(form.get("media_type"), settings.accept_media_types):
            taken = ", ".join(settings.accept_media_types)
            raise _fault("content_item_media_type", place, f"state a media_type that this platform takes: {taken}")


class Writer:
    """Writes items for one platform. `admits_http` says of an http URL whether it may be used at all."""

    def __init__(self, settings: DeepLinking, launch_url: str, admits_http: Callable[[str], bool]) -> None:
        self._settings = settings
        self._launch_url = launch_url
        self._admits_http = admits_http

    def write(self, place: int, form: Form, item_id: str) -> dict[str, Any]:
        """The item as the wire has it. `place` is its index, for messages. Raises Invalid.

        An LTI link leaves with the host's launch URL and the item's id, twice: in the URL and as a custom parameter,
        since platforms lose one or the other. Its own URL stays here.
        """
        item: dict[str, Any] = {"type": form["type"], **_plain_texts(form)}
        for name in ("icon", "thumbnail"):
            if name in form:
                item[name] = {"url": self._url(form[name]["url"], place, name), **_renamed(form[name], _SIZES)}
        specials = {
            LTI_LINK: self._lti_link,
            "link": self._link,
            "file": self._file,
            "html": self._html,
            "image": self._image,
        }
        return item | specials[form["type"]](place, form, item_id)

    def _lti_link(self, place: int, form: Form, item_id: str) -> dict[str, Any]:
        target = with_query(self._launch_url, f"item={item_id}")
        item: dict[str, Any] = {
            "url": target,
            "custom": read_custom(form.get("custom", {}), place) | {ITEM_PARAMETER: item_id},
        }
        if "line_item" in form and self._settings.accept_line_item is not False:
            item["lineItem"] = _line_item(form, place, target, item_id)
        for name in ("available", "submission"):
            if name in form:
                item[name] = _period(form[name], place, name)
        return item | self._presentation(form)

    def _link(self, place: int, form: Form, _: str) -> dict[str, Any]:
        item = {"url": self._url(form["url"], place, "url")} | self._presentation(form)
        if "iframe" in item:
            item["iframe"]["src"] = self._url(form["iframe"]["src"], place, "iframe.src")
        if "embed" in form and self._shown_in("embed"):
            item["embed"] = {"html": self._safe(form["embed"]["html"], place, "embed.html")}
        return item

    def _file(self, place: int, form: Form, _: str) -> dict[str, Any]:
        item = {"url": self._url(form["url"], place, "url"), **_renamed(form, {"media_type": "mediaType"})}
        return item | ({"expiresAt": _moment(form["expires_at"])} if "expires_at" in form else {})

    def _html(self, place: int, form: Form, _: str) -> dict[str, Any]:
        return {"html": self._safe(form["html"], place, "html")}

    def _image(self, place: int, form: Form, _: str) -> dict[str, Any]:
        return {"url": self._url(form["url"], place, "url"), **_renamed(form, _SIZES)}

    def _presentation(self, form: Form) -> dict[str, Any]:
        """How the item may be shown, as far as the platform says that it can. Others are no fault."""
        item: dict[str, Any] = {}
        if "window" in form and self._shown_in("window"):
            item["window"] = _renamed(form["window"], _WINDOW)
        if "iframe" in form and self._shown_in("iframe", "frame"):
            item["iframe"] = _renamed(form["iframe"], _SIZES)
        return item

    def _shown_in(self, *targets: str) -> bool:
        accepted = self._settings.accept_targets
        return not accepted or not set(targets).isdisjoint(accepted)

    def _url(self, url: str, place: int, name: str) -> str:
        if not self._usable(url):
            raise _fault("content_item_url", place, f"{name} must be an absolute https URL")
        return url

    def _safe(self, html: str, place: int, name: str) -> str:
        kept = safe_html(html, self._usable)
        if not kept:
            raise _fault("content_item_html", place, f"of {name} nothing is left that may stand in a page of an LMS")
        return kept

    def _usable(self, url: str) -> bool:
        sound = web_url(url) is not None and origin_of(url) is not None
        return sound and (url.startswith("https:") or self._admits_http(url))


def changes(written: Mapping[str, Any], linted: Mapping[str, Any]) -> list[str]:
    """What will be otherwise than it was chosen because this LMS cannot keep it, in sentences for people."""
    told = []
    title, maximum, made = written.get("title"), _maximum(written), _maximum(linted)
    if title and linted.get("title") != title:
        told.append(f"this LMS takes the title as {linted.get('title')!r}.")
    if maximum is not None and made is None:
        told.append("this LMS makes no column in the gradebook.")
    elif maximum is not None and made != maximum:
        told.append(f"this LMS makes a column of {made} points, not of {maximum}; scores are scaled to it.")
    return told


def _maximum(item: Mapping[str, Any]) -> object:
    column = item.get("lineItem")
    return column.get("scoreMaximum") if isinstance(column, Mapping) else None


def read_custom(custom: Mapping[str, Any], place: int) -> dict[str, str]:
    """Custom parameters as texts: numbers and booleans are written out, null ones left out. Deep Linking 3.2."""
    found: dict[str, str] = {}
    for name, value in custom.items():
        if name == ITEM_PARAMETER or not name or clean(name, len(name)) != name:
            raise _fault("content_item_custom", place, f"custom cannot have a parameter named {name!a}")
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            found[name] = clean(text, len(text)) or ""
    return found


def _plain_texts(form: Form) -> dict[str, str]:
    """Titles and texts are plain; whatever looks like markup in them is a text of the LMS's page."""
    texts = {"title": clean(form.get("title"), MAX_TITLE), "text": clean(form.get("text"), MAX_TEXT)}
    return {name: text for name, text in texts.items() if text}


def _line_item(form: Form, place: int, target: str, item_id: str) -> dict[str, Any]:
    found = form["line_item"]
    written = {"scoreMaximum": number(found["maximum"]), **_renamed(found, _LINE_ITEM)}
    if "label" not in written and (title := clean(form.get("title"), MAX_TITLE)):
        written["label"] = title
    if "submission_review" in found:
        review = found["submission_review"]
        custom = read_custom(review.get("custom", {}), place) | {ITEM_PARAMETER: item_id}
        written["submissionReview"] = _renamed(review, {"label": "label"}) | {"url": target, "custom": custom}
    return written


def _period(found: Form, place: int, name: str) -> dict[str, str]:
    starts, ends = found.get("starts_at"), found.get("ends_at")
    if starts is not None and ends is not None and ends <= starts:
        raise _fault("content_item_dates", place, f"{name} must end after it starts")
    return {_DATES[key]: _moment(value) for key, value in found.items()}


def number(value: Decimal) -> int | float:
    """A decimal as JSON has numbers: whole ones without a point."""
    return int(value) if value == value.to_integral_value() else float(value)


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _renamed(found: Form, names: Mapping[str, str]) -> dict[str, Any]:
    return {wire: found[name] for name, wire in names.items() if name in found}


def _media_type_accepted(media_type: str | None, accepted: Sequence[str]) -> bool:
    patterns = [pattern.lower() for pattern in accepted]
    if not patterns or "*/*" in patterns:
        return True
    kind = (media_type or "").partition(";")[0].strip().lower()
    return kind in patterns or f"{kind.partition('/')[0]}/*" in patterns


def _fault(code: str, place: int, text: str) -> Invalid:
    return Invalid(code, f"items.{place}: {text}.")
