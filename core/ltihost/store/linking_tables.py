"""The tables of deep linking and of platform notices: what was chosen, behind which link it stands, what was copied."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from ltihost.store.base import Base, Owned, application_key, deployment_key, within_tenant


class ContentItem(Owned, Base):
    """An item that was returned by deep linking. `url` is the application's; the LMS knows ours with this id."""

    __tablename__ = "content_items"
    __table_args__ = (*application_key("content_items"), deployment_key("content_items"))
    id: Mapped[str] = mapped_column(primary_key=True)
    application_owner: Mapped[str]
    application_id: Mapped[str]
    registration_id: Mapped[str]
    deployment_id: Mapped[str]
    deep_link_id: Mapped[str]
    context_id: Mapped[str | None]
    type: Mapped[str]
    url: Mapped[str | None]
    title: Mapped[str | None]
    text: Mapped[str | None]
    custom: Mapped[dict[str, Any]]
    line_item: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    created_at: Mapped[float]
    linked_at: Mapped[float | None]


class LinkedItem(Owned, Base):
    """Which content item stands behind a resource link. `origin_link_id` is the link that this one is a copy of."""

    __tablename__ = "linked_items"
    __table_args__ = (
        within_tenant("linked_items", "resource_link_id", "resource_links"),
        within_tenant("linked_items", "content_item_id", "content_items"),
        Index(None, "tenant_id", "content_item_id"),
    )
    resource_link_id: Mapped[str] = mapped_column(primary_key=True)
    content_item_id: Mapped[str | None]
    origin_link_id: Mapped[str | None]
    linked_at: Mapped[float]


class ContextOrigin(Owned, Base):
    """A context that was copied from another, as the platform told by a notice."""

    __tablename__ = "context_origins"
    __table_args__ = (
        within_tenant("context_origins", "context_id", "contexts"),
        within_tenant("context_origins", "origin_context_id", "contexts"),
    )
    context_id: Mapped[str] = mapped_column(primary_key=True)
    origin_context_id: Mapped[str] = mapped_column(primary_key=True)
    noticed_at: Mapped[float]


class DeepLink(Owned, Base):
    """A deep linking conversation; its id is its launch's. `state`: open, finished (waits for the browser), returned."""

    __tablename__ = "deep_links"
    __table_args__ = (
        within_tenant("deep_links", "id", "launches"),
        *application_key("deep_links"),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    application_owner: Mapped[str]
    application_id: Mapped[str]
    state: Mapped[str]
    request_hash: Mapped[bytes | None]
    answer: Mapped[dict[str, Any]]
    expires_at: Mapped[float]
    finished_at: Mapped[float | None]
    returned_at: Mapped[float | None]


class Notice(Owned, Base):
    """A platform notice that was received, kept so that its second delivery has no second effect."""

    __tablename__ = "notices"
    registration_id: Mapped[str] = mapped_column(ForeignKey("registrations.id"), primary_key=True)
    notice_id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    stated_at: Mapped[str | None]
    received_at: Mapped[float]


class NoticeHandler(Owned, Base):
    """A notice type for which the platform is told our address: wanted until `registered_at`. `verified_at` is when a
    notice last came to that address."""

    __tablename__ = "notice_handlers"
    __table_args__ = (deployment_key("notice_handlers"),)
    registration_id: Mapped[str] = mapped_column(primary_key=True)
    deployment_id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str] = mapped_column(primary_key=True)
    handler: Mapped[str]
    service_url: Mapped[str]
    registered_at: Mapped[float | None]
    verified_at: Mapped[float | None]
    code: Mapped[str | None]
