"""Content items as applications give them: one shape per type. Deep Linking 2.0 section 3."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from ltihost.api.models import Shape

Url = Annotated[str, Field(min_length=1, max_length=2_000)]
Text = Annotated[str, Field(max_length=4_000)]
Title = Annotated[str, Field(max_length=500)]
Html = Annotated[str, Field(min_length=1, max_length=65_536)]
Id = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]
Pixels = Annotated[int, Field(ge=1, le=20_000)]
CustomName = Annotated[str, Field(min_length=1, max_length=255)]
Finite = Annotated[StrictFloat, Field(allow_inf_nan=False)]
CustomText = Annotated[StrictStr, Field(max_length=4_000)]
Custom = Annotated[
    dict[CustomName, CustomText | StrictBool | StrictInt | Finite | None],
    Field(
        max_length=100,
        description="Custom parameters. Numbers and booleans become texts, null ones are left out.",
    ),
]


class PictureShape(Shape):
    url: Url
    width: Pixels | None = None
    height: Pixels | None = None


class WindowShape(Shape):
    target_name: Id | None = None
    width: Pixels | None = None
    height: Pixels | None = None
    features: Id | None = None


class FrameShape(Shape):
    width: Pixels | None = None
    height: Pixels | None = None


class LinkFrameShape(FrameShape):
    src: Url


class EmbedShape(Shape):
    html: Html


class PeriodShape(Shape):
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None


class SubmissionReviewShape(Shape):
    label: Id | None = None
    url: Url | None = Field(default=None, description="Where a review leads; by default where the item does.")
    custom: Custom | None = None


class ItemLineItemShape(Shape):
    maximum: Decimal = Field(gt=0, le=1_000_000, decimal_places=4, max_digits=12)
    label: Id | None = Field(default=None, description="By default the item's title.")
    resource_id: Id | None = None
    tag: Id | None = None
    grades_released: bool | None = None
    submission_review: SubmissionReviewShape | None = None


class _Item(Shape):
    title: Title | None = Field(default=None, description="Plain text.")
    text: Text | None = Field(default=None, description="Plain text.")
    icon: PictureShape | None = None
    thumbnail: PictureShape | None = None


class LtiLinkItem(_Item):
    """A link that launches your application."""

    type: Literal["ltiResourceLink"]
    url: Url | None = Field(default=None, description="Where its launches lead; by default your launch URL.")
    custom: Custom | None = None
    line_item: ItemLineItemShape | None = None
    available: PeriodShape | None = None
    submission: PeriodShape | None = None
    window: WindowShape | None = None
    iframe: FrameShape | None = None


class LinkItem(_Item):
    """A web page."""

    type: Literal["link"]
    url: Url
    embed: EmbedShape | None = None
    window: WindowShape | None = None
    iframe: LinkFrameShape | None = None


class FileItem(_Item):
    """A file that the platform fetches within minutes."""

    type: Literal["file"]
    url: Url
    media_type: Id | None = None
    expires_at: AwareDatetime | None = None


class HtmlItem(_Item):
    """A piece of HTML for a page of the platform; what could run there is taken out."""

    type: Literal["html"]
    html: Html


class ImageItem(_Item):
    """A picture."""

    type: Literal["image"]
    url: Url
    width: Pixels | None = None
    height: Pixels | None = None


Item = Annotated[LtiLinkItem | LinkItem | FileItem | HtmlItem | ImageItem, Field(discriminator="type")]


def form_of(item: Shape) -> dict[str, Any]:
    """What was given, without nulls (but for those inside `custom`, which `lti.content_items` leaves out)."""
    return _given(item)


def _given(shape: Shape) -> dict[str, Any]:
    found = ((name, getattr(shape, name)) for name in type(shape).model_fields)
    return {
        name: _given(value) if isinstance(value, Shape) else value
        for name, value in found
        if value is not None and value != {}
    }
