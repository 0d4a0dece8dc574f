"""The HTML answers below `/admin`, and their headers."""

from __future__ import annotations

from typing import Any

from starlette.responses import HTMLResponse, Response

from ltihost.pages import page_templates

#: Never framed, no inline script or style, and the address (which may hold an invitation) goes to nobody else.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()",
    "Vary": "Cookie",
}


class AdminPages:
    """Renders the templates in `templates/admin`."""

    def __init__(self) -> None:
        self._templates = page_templates()

    def page(self, name: str, *, status: int = 200, **values: Any) -> Response:
        """The page of this name."""
        html = self._templates.get_template(f"admin/{name}.html").render(**values)
        return HTMLResponse(html, status, headers=HEADERS)

    def message(self, title: str, advice: str, *, status: int = 200) -> Response:
        """A page that only says something."""
        return self.page("message", status=status, title=title, advice=advice)
