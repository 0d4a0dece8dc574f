"""An LMS whose plugin has opinions about content items."""

from typing import Any

from ltihost.plugins import Launch, Manifest, Unacceptable, hookimpl

manifest = Manifest(key="linting", name="Linting LMS", frame_patterns=("https://*.linting.example",))


@hookimpl
def lint_content_item(item: dict[str, Any], launch: Launch) -> dict[str, Any] | Unacceptable | None:
    """Titles say what is to be done with them."""
    title = item.get("title")
    if title == "refuse":
        return Unacceptable(f"in {launch.context.title if launch.context else 'nowhere'} only short titles are taken")
    if title == "fail":
        raise RuntimeError("broken")
    if title == "forge":
        return {"type": "html", "title": "x"}
    if title == "shorten":
        return item | {"title": "s", "url": "https://kept.example/"}
    if title == "round":
        return item | {"lineItem": item["lineItem"] | {"scoreMaximum": 8}}
    if title == "ungraded":
        return {name: value for name, value in item.items() if name != "lineItem"}
    return None
