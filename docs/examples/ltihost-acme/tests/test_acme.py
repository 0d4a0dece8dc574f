"""What Acme sends, and what an application must receive."""

from ltihost_acme.plugin import LTI, TUTOR, manifest, normalise_claims


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
