"""An application inside the host's own process. The host exchanges the code; the launch is in the ASGI scope."""

import html

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ltihost.app import build_app
from ltihost.settings import load_settings


async def hello(request: Request) -> Response:
    launch = request.scope.get("ltihost.launch")
    if launch is None:
        return HTMLResponse("<p>Please open this page from your course.</p>", 403)
    return HTMLResponse(f"<p>Hello {html.escape(launch['user']['name'] or 'whoever you are')}.</p>")


application = Starlette(routes=[Route("/launch", hello)])


def app() -> Starlette:
    """The host with this application below `/apps/hello/`. Run it: `uvicorn --factory mounted_app:app`."""
    return build_app(load_settings(), applications={"hello": application})
