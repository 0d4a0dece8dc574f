"""Role rules: the strongest of all that fit."""

from __future__ import annotations

from ltihost.lti.roles import read_roles
from ltihost.records import RoleRule
from ltihost.role_rules import apply_role_rules

V2 = "http://purl.imsglobal.org/vocab/lis/v2/"
RULES = (
    RoleRule("Instructor", "editor", "manager"),
    RoleRule("Learner", None, "member"),
    RoleRule(f"{V2}institution/person#Administrator", "admin", None),
    RoleRule(f"{V2}membership/Instructor#TeachingAssistant", "advancedUser", "contributor"),
)


def test_no_rule_gives_nothing() -> None:
    assert apply_role_rules((), read_roles(["Instructor"])) == (None, None)
    assert apply_role_rules(RULES, read_roles(["Mentor"])) == (None, None)


def test_a_short_name_means_the_context_role_alone() -> None:
    assert apply_role_rules(RULES, read_roles(["Instructor"])) == ("editor", "manager")
    assert apply_role_rules(RULES, read_roles([f"{V2}membership#Instructor"])) == ("editor", "manager")
    assert apply_role_rules(RULES, read_roles([f"{V2}institution/person#Instructor"])) == (None, None)
    assert apply_role_rules(RULES, read_roles([f"{V2}membership/Learner#Instructor"])) == (None, None)


def test_the_strongest_of_all_that_fit_wins() -> None:
    roles = read_roles(
        [f"{V2}institution/person#Administrator", "Learner", f"{V2}membership/Instructor#TeachingAssistant"]
    )
    assert apply_role_rules(RULES, roles) == ("admin", "contributor")


def test_a_name_of_the_application_s_own_is_weaker_than_the_known_ones() -> None:
    rules = (RoleRule("Learner", "trainee", "guest"), RoleRule("Learner", "user", "member"))
    assert apply_role_rules(rules, read_roles(["Learner"])) == ("user", "member")
    assert apply_role_rules(rules[:1], read_roles(["Learner"])) == ("trainee", "guest")
