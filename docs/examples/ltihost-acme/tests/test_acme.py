"""What Acme sends, and what an application must receive."""

from decimal import Decimal

from ltihost_acme.plugin import LTI, MAX_COMMENT, TUTOR, classify_error, manifest, normalise_claims, scale_score

from ltihost.plugins import Score, ServiceAnswer, WaitForEnrolment


def test_a_tutor_is_a_teaching_assistant() -> None:
    assert normalise_claims({LTI + "roles": ["Tutor", "Learner"]})[LTI + "roles"] == [TUTOR, "Learner"]


def test_a_dash_is_no_title() -> None:
    claims = normalise_claims({LTI + "context": {"id": "7", "title": "-"}})
    assert claims[LTI + "context"] == {"id": "7"}


def test_what_is_absent_stays_absent() -> None:
    assert normalise_claims({}) == {}


def test_the_simulated_acme_is_this_one() -> None:
    assert manifest.profile is not None
    assert manifest.profile().key == manifest.key


def test_a_long_comment_is_cut_and_the_number_stays() -> None:
    score = Score(Decimal("8.5"), Decimal(10), "Completed", "FullyGraded", comment="x" * 300)
    scaled = scale_score(score)
    assert (scaled.given, scaled.maximum) == (Decimal("8.5"), Decimal(10))
    assert scaled.comment is not None
    assert len(scaled.comment) == MAX_COMMENT


def test_a_score_for_a_stranger_waits() -> None:
    answer = ServiceAnswer(422, {}, b'{"error": "no such student"}')
    assert classify_error(answer, "score") == WaitForEnrolment()
    assert classify_error(answer, "roster") is None
    assert classify_error(ServiceAnswer(422, {}, b"{}"), "score") is None
