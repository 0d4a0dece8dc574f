"""`ltihost launch`: what became of each login and launch, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text
from sqlalchemy.orm import Session

from ltihost.commands import output
from ltihost.commands.operator import TenantOption, operate, tenant_id_of, tenant_json
from ltihost.commands.output import AsJson, plain
from ltihost.explain import QUESTIONS, Explanation, explain
from ltihost.plugins.loader import Plugins, load_plugins
from ltihost.records import Attempt, Check
from ltihost.settings import load_settings
from ltihost.store import launches, registrations, tenants

_ENDS = {"accepted": "was accepted", "refused": "was refused", "waiting": "waited for the browser"}
_MARKS = {"passed": ("✓", "+", "green"), "failed": ("✗", "x", "bold red"), "not_reached": ("·", "-", "dim")}


Code = Annotated[str, typer.Argument(metavar="CODE", help="The code that the person was shown, or a launch's id.")]


def list_(
    tenant: TenantOption = None,
    registration: Annotated[str | None, typer.Option(metavar="ID", help="Only this registration's.")] = None,
    outcome: Annotated[Literal["accepted", "refused", "waiting"] | None, typer.Option(help="Only these.")] = None,
    refusal: Annotated[str | None, typer.Option(metavar="CODE", help="Only those refused for this reason.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, the newest.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List logins and launches, the newest first, refused ones included."""
    found, names, links = operate(
        _listed, tenant, registration_id=registration, outcome=outcome, refusal=refusal, limit=limit
    )
    if as_json:
        output.document([attempt_json(attempt) for attempt in found])
        return
    rows = [
        (
            output.moment(item.at),
            item.code,
            item.kind,
            item.outcome,
            item.refusal,
            output.short(names.get(item.registration_id or "")),
            output.short(links.get(item.resource_link_id or "") or item.resource_link_id),
            item.user_id,
        )
        for item in found
    ]
    output.table(("When", "Code", "Kind", "Outcome", "Why", "Registration", "Link", "Person"), rows, empty="none")
    output.say_limit(len(found), limit)


def show(code: Code, as_json: AsJson = False) -> None:
    """Why a launch went as it did: every check, what was expected and what came, the cause and the fix."""
    plugins = load_plugins(load_settings().plugins)
    explanation = operate(_explained, code, plugins)
    if as_json:
        output.document(explanation_json(explanation))
        return
    print_explanation(explanation)


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """The JSON form of an explanation."""
    attempt, tenant, registration, refusal = (
        explanation.attempt, explanation.tenant, explanation.registration, explanation.refusal,
    )  # fmt: skip
    return {
        **attempt_json(attempt),
        "tenant": tenant_json(tenant),
        "registration": registration and {
            "id": registration.id, "name": registration.name, "issuer": registration.issuer,
            "client_id": registration.client_id, "state": registration.state,
        },
        "lms": explanation.lms,
        "checks": [_check_json(check) for check in attempt.checks],
        "cause": refusal and refusal.cause,
        "fix": refusal and refusal.fix,
        "where": refusal and refusal.where,
        "warnings": list(attempt.warnings),
        "remote_address": attempt.remote_address,
        "user_agent": attempt.user_agent,
    }  # fmt: skip


def attempt_json(attempt: Attempt) -> dict[str, Any]:
    """The JSON form of an attempt in a list."""
    return {
        "id": attempt.id,
        "code": attempt.code,
        "at": output.iso(attempt.at),
        "kind": attempt.kind,
        "outcome": attempt.outcome,
        "refusal": attempt.refusal,
        "tenant_id": attempt.tenant_id,
        "registration_id": attempt.registration_id,
        "deployment_id": attempt.deployment_id,
        "message": attempt.message,
        "rung": attempt.rung,
        "resource_link_id": attempt.resource_link_id,
        "user_id": attempt.user_id,
    }


def _listed(
    session: Session, /, tenant: str | None, **filters: Any
) -> tuple[list[Attempt], dict[str, str], dict[str, str | None]]:
    """Attempts, the names of all registrations, and the titles of the links that were opened, both by id."""
    page = launches.page(session, tenant_id=tenant_id_of(session, tenant), **filters)
    found = [launches.attempt(row) for row in page.rows]
    return found, registrations.names(session), launches.link_titles(session, found)


def _explained(session: Session, code: str, plugins: Plugins) -> Explanation:
    attempt = launches.attempt(launches.show(session, code))
    registration = registrations.get(session, attempt.registration_id) if attempt.registration_id else None
    tenant = next((item for item in tenants.listed(session) if item.id == attempt.tenant_id), None)
    return explain(attempt, tenant, registration, plugins.get(registration.plugin) if registration else None)


def print_explanation(explanation: Explanation) -> None:
    """The story of one attempt, for people."""
    attempt, screen = explanation.attempt, output.console()
    headline = f"{attempt.kind.capitalize()} {attempt.code} {_ENDS[attempt.outcome]}"
    output.say((headline, "bold"), f", {output.moment(attempt.at)}")
    output.say()
    output.facts([(name, value) for name, value in _surroundings(explanation) if value])
    output.say()
    for check in attempt.checks:
        _print_check(screen, check)
    for name, text in _advice(explanation):
        output.say()
        output.say((name, "bold"))
        output.say("  ", text)


def _surroundings(explanation: Explanation) -> list[tuple[str, str | None]]:
    attempt, registration, tenant = explanation.attempt, explanation.registration, explanation.tenant
    return [
        ("Code", attempt.refusal),
        ("LMS", " ".join(filter(None, (explanation.lms, registration.issuer if registration else None)))),
        ("Registration", f"{registration.id} {registration.name}" if registration else None),
        ("Deployment", attempt.deployment_id),
        ("Tenant", f"{tenant.slug} {tenant.name}" if tenant else None),
        ("Message", attempt.message),
        ("Recognised by", attempt.rung),
        ("Person", attempt.user_id),
        ("Address", attempt.remote_address),
        ("Browser", attempt.user_agent),
        ("Attempt", attempt.id),
    ]


def _advice(explanation: Explanation) -> Iterator[tuple[str, str]]:
    """Headings and what stands below them."""
    if (refusal := explanation.refusal) is not None:
        yield "Likely cause", refusal.cause
        yield "What to do", refusal.fix
        if refusal.where:
            yield f"Where to click in {explanation.lms}", refusal.where.replace("**", "")
    for warning in explanation.attempt.warnings:
        yield "Warning", warning


def _print_check(screen: Console, check: Check) -> None:
    """A check with its question; the one that failed with what was expected and what came."""
    mark, ascii_mark, style = _MARKS[check.status]
    sign = ascii_mark if screen.options.ascii_only else mark
    question = QUESTIONS.get(check.name, "")
    screen.print(Text.assemble((f"{sign} {check.name:<15}", style), (question, "dim")))
    if check.status == "failed":
        for name, value in (("expected", check.expected), ("received", check.received)):
            if value is not None:
                screen.print(Padding(Text.assemble((f"{name}  ", "dim"), plain(value)), (0, 0, 0, 4), expand=False))


def _check_json(check: Check) -> dict[str, Any]:
    return {"name": check.name, "status": check.status, "expected": check.expected, "received": check.received}
