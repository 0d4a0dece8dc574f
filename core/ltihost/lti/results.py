"""Results on the wire: what stands in the gradebook. AGS 2.0 section 3.3."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from ltihost.lti.service_json import name, number, text
from ltihost.lti.service_urls import below, with_parameters
from ltihost.service_records import Result

CONTAINER_TYPE = "application/vnd.ims.lis.v2.resultcontainer+json"
#: Not every LMS pages results, and a big course has thousands of them.
MAX_BYTES = 5_242_880


def results_url(line_item_url: str, *, subject: str | None = None, limit: int | None = None) -> str:
    """Where the results of a line item are, of one user or of all. AGS 3.3.3."""
    return with_parameters(below(line_item_url, "results"), {"user_id": subject, "limit": limit})


def read_result(value: object) -> Result | None:
    """One row; None for what is none. `resultMaximum` is 1 where it is absent, and where it is no maximum."""
    if not isinstance(value, Mapping) or (subject := name(value.get("userId"))) is None:
        return None
    maximum = number(value.get("resultMaximum"))
    return Result(
        subject=subject,
        given=number(value.get("resultScore")),
        maximum=maximum if maximum is not None and maximum > 0 else Decimal(1),
        comment=text(value.get("comment")),
        scoring_subject=name(value.get("scoringUserId")),
    )


def newest_of_each(results: Iterable[Result]) -> tuple[Result, ...]:
    """One row of each user, the last: somebody who tried again may be listed twice."""
    return tuple({result.subject: result for result in results}.values())
