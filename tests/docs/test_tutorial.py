"""The tutorial, typed line by line into a shell, with a browser beside it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ltihost.commands.demo_steps import until
from ltihost.testing.driver import Driver, Walk, walk
from tests.docs.reading import ROOT, text_of
from tests.docs.shell import Shell, free_ports, running_demo
from tests.docs.test_commands import console_lines

TUTORIAL = ROOT / "docs" / "tutorial.md"


@dataclass
class Reader:
    """Somebody who follows the tutorial: a shell, the demo beside it, the tutorial's lines at other ports."""

    shell: Shell
    demo: dict[str, Any]
    lines: list[str]

    def type_up_to(self, last: str) -> str:
        """Type the next lines up to the one that begins with `last`; answer what that one printed."""
        printed = ""
        while self.lines:
            line = self.lines.pop(0)
            printed = self.shell.run(line.replace("reg_...", "$(" + _DRAFT + ")"))
            if line.startswith(last):
                return printed
        raise AssertionError(f"the tutorial has no line that begins with {last!r}")

    async def opens(self, person: str, **choices: str) -> Walk:
        """The person opens the link of the tutorial."""
        more = "".join(f"&{name}={value}" for name, value in choices.items())
        return await walk(f"{self.demo['campus_url']}moodle/_launch?person={person}&link=cell-quiz{more}")

    async def stands(self, points: str) -> bool:
        """Whether Ada finds these points among her grades."""
        campus = f"{self.demo['campus_url']}moodle"
        async with Driver() as browser:
            await browser.request(f"{campus}/_person", {"person": "ada"})
            shown = (await browser.request(f"{campus}/c/biology/grades")).text
        return f'<span class="value">{points}</span><span class="mark">tool</span>' in shown


#: Reads the id that the reader copies from the screen.
_DRAFT = (
    "ltihost registration list --json | "
    'python -c \'import json, sys; print(*[item["id"] for item in json.load(sys.stdin) if item["state"] == "draft"])\''
)


@pytest.fixture
def reader() -> Iterator[Reader]:
    port, own = free_ports()
    at_other_ports = {"8700": str(port), "8701": str(port + 1), "9000": str(own)}
    lines = [re.sub("8700|8701|9000", lambda found: at_other_ports[found[0]], line) for line in console_lines(TUTORIAL)]
    assert lines[:2] == ["make demo", "source .venv/bin/activate"]
    with running_demo(port) as demo:
        shell = Shell({**demo["environment"], "PORT": str(own)})
        try:
            yield Reader(shell, demo, lines[2:])
        finally:
            shell.close()


@pytest.mark.timeout(300)  # a dozen processes, one after the other
async def test_the_tutorial_works(reader: Reader) -> None:
    assert len(reader.demo["environment"]) == 4  # the tutorial speaks of four lines to paste
    assert "Ada" in (await reader.opens("ada")).response.text
    page = html.unescape((await walk(f"{reader.demo['campus_url']}moodle/c/biology/l/cell-quiz")).response.text)
    assert [words for words in re.findall(r"\*\*(.+?)\*\*", text_of(TUTORIAL)) if words not in page] == []

    assert "accepted" in reader.type_up_to("ltihost launch list")
    reader.type_up_to("ltihost registration approve")

    greeting = await reader.opens("ada")
    assert greeting.response.status_code == 200
    assert _promised() in html.unescape(greeting.response.text)
    assert "instructor" in (await reader.opens("tess")).response.text

    await until(lambda: reader.stands("8"), lambda: "the gradebook shows no 8")
    assert "idle" in reader.type_up_to("ltihost grade list")

    refused = await reader.opens("ada", fault="tampered")
    assert "This link could not be checked" in refused.response.text
    assert "sig_invalid" in reader.type_up_to("ltihost launch list")
    code = re.search(r"\b[0-9A-Z]{4}-[0-9A-Z]{4}\b", refused.response.text)
    assert code
    reader.lines = [line.replace("CODE", code[0]) for line in reader.lines]
    assert "Did the platform sign it?" in reader.type_up_to("ltihost launch show")
    assert reader.lines == []


def test_the_demo_takes_the_ports_of_the_tutorial() -> None:
    from ltihost.commands.demo import DEFAULT_PORT

    text = text_of(TUTORIAL)
    assert f"localhost:{DEFAULT_PORT}" in text
    assert f"127.0.0.1:{DEFAULT_PORT + 1}" in text


def _promised() -> str:
    """The greeting that the tutorial shows as a quotation."""
    found = re.search(r"^> (.+)$", text_of(TUTORIAL), re.MULTILINE)
    assert found
    return found[1]
