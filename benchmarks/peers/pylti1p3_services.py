"""PyLTI1p3's services as its documentation has them, without the web framework around. Runs in benchmarks/.venv.

`scores` puts grades one by one through one service object, the best that the library offers. `roster` makes a service
object for each reading, as a launch does; `roster-kept` keeps one with its token.
"""

from __future__ import annotations

import sys

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pylti1p3.assignments_grades import AssignmentsGradesService
from pylti1p3.grade import Grade
from pylti1p3.lineitem import LineItem
from pylti1p3.names_roles import NamesRolesProvisioningService
from pylti1p3.registration import Registration
from pylti1p3.service_connector import ServiceConnector
from steps import obey

SCORE_SCOPE = "https://purl.imsglobal.org/spec/lti-ags/scope/score"


def private_key():
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


PRIVATE_KEY = private_key()
kept = {}


def registration(order):
    found = Registration()
    found.set_issuer("http://127.0.0.1").set_client_id("benchmark-client").set_tool_private_key(PRIVATE_KEY)
    return found.set_auth_token_url(order["token_url"])


def put_grades(order):
    line_item = LineItem({"id": order["scores_url"].removesuffix("/scores"), "scoreMaximum": 100})
    services = {"scope": [SCORE_SCOPE], "lineitem": line_item.get_id()}
    ags = AssignmentsGradesService(ServiceConnector(registration(order)), services)
    for score in order["scores"]:
        grade = Grade().set_user_id(score["userId"]).set_timestamp(score["timestamp"])
        grade.set_score_given(score["scoreGiven"]).set_score_maximum(100)
        ags.put_grade(grade.set_activity_progress("Completed").set_grading_progress("FullyGraded"), line_item)
    return len(order["scores"])


def service(order):
    return NamesRolesProvisioningService(
        ServiceConnector(registration(order)), {"context_memberships_url": order["members_url"]}
    )


def get_members(order):
    return len(service(order).get_members())


def get_members_kept(order):
    if "service" not in kept:
        kept["service"] = service(order)
    return len(kept["service"].get_members())


obey({"scores": put_grades, "roster": get_members, "roster-kept": get_members_kept}[sys.argv[1]])
