"""What Learn's error answers mean. Blackboard publishes no form for them, so only two texts are looked for: the one that
hypothesis/lms relies on, and one of the REST gateway (release notes of the developer portal).
"""

from __future__ import annotations

from ltihost.plugins import Delivered, NeedsAttention, Operation, Outcome, ServiceAnswer, WaitForEnrolment


def classified(answer: ServiceAnswer, operation: Operation) -> Outcome | None:
    """One client id serves all customers of a vendor, so that nothing that one Learn answers may pause the others."""
    if answer.status == 400 and operation == "score" and "User could not be found" in answer.text:
        return WaitForEnrolment("user_not_enrolled")
    if answer.status == 403 and operation != "token":
        off = "SiteApplicationDisabled" in answer.text
        return NeedsAttention("application_disabled" if off else "service_disabled")
    if answer.status == 404 and operation == "results":
        return Delivered("Nobody has a result here yet.")
    if answer.status == 404 and operation in ("line_items.list", "roster"):
        return NeedsAttention("application_not_installed")
    return None
