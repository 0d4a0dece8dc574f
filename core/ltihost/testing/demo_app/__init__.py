"""The demo application: a small quiz behind the host, written as any customer's application would be.

    quiz.py      the questions, and the attempts people made
    api.py       the host's REST API, called over HTTP with an application key
    work.py      what the quiz does with it: find the column, send scores, read results and people, return content
    pages.py     its pages; `build_demo_app` puts them together

A launch arrives as GET `<mount>/launch` with `scope["ltihost.launch"]`, the dict an application would get in exchange
for its code. From then on a token in the page says whose turn it is, so that frames without cookies work too.
"""

from ltihost.testing.demo_app.api import HostApi
from ltihost.testing.demo_app.pages import ROLES, build_demo_app
from ltihost.testing.demo_app.quiz import Attempts

__all__ = ["ROLES", "Attempts", "HostApi", "build_demo_app"]
