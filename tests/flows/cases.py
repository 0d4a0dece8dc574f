"""The message cases of the certification catalogue and beyond: each differs from a good launch in one thing."""

from __future__ import annotations

from typing import Any

from tests.flows.platform import LTI, V2, Change, null, put

M = f"{V2}membership#"


def _keep_only_name(payload: dict[str, Any]) -> None:
    payload.clear()
    payload["name"] = "badltilaunch"


def _old_times(payload: dict[str, Any]) -> None:
    payload.update(iat=11111, exp=22222)


def _iat(seconds: int) -> Change:
    def change(payload: dict[str, Any]) -> None:
        payload["iat"] += seconds
        payload["exp"] = max(payload["exp"], payload["iat"] + 300)

    return change


def _exp(seconds: int) -> Change:
    def change(payload: dict[str, Any]) -> None:
        payload["iat"] -= 300
        payload["exp"] = payload["iat"] + 300 + seconds

    return change


#: (name, change to the claims, refusal code)
REFUSED: list[tuple[str, Change, str]] = [
    # certification, section 1
    ("C-B03 version 11.3", put(lti_version="11.3"), "version_unsupported"),
    ("C-B04 no version", put(lti_version=None), "version_unsupported"),
    ("C-B05 not a launch", _keep_only_name, "issuer_mismatch"),
    ("C-B06 no LTI claims", put(lti_version=None, lti_message_type=None, lti_roles=None), "version_unsupported"),
    ("C-B06 no iss aud sub", put(iss=None, aud=None, sub=None, lti_deployment_id=None, lti_roles=None), "issuer_mismatch"),
    ("C-B07 old times", _old_times, "expired"),
    ("C-B08 no message type", put(lti_message_type=None), "message_type_unsupported"),
    ("C-B09 no roles", put(lti_roles=None), "roles_invalid"),
    ("C-B10 no deployment", put(lti_deployment_id=None), "deployment_missing"),
    ("C-B11 no resource link", put(lti_resource_link=None), "resource_link_invalid"),
    ("C-B12 empty sub", put(sub=""), "subject_invalid"),
    ("C-B12 no sub", put(sub=None), "subject_missing"),
    # 7.2 nonce
    ("S-05 no nonce", put(nonce=None), "nonce_mismatch"),
    ("S-04 empty nonce", put(nonce=""), "nonce_mismatch"),
    ("S-04 nonce no text", put(nonce=["x"]), "nonce_mismatch"),
    ("S-06 nonce not issued", put(nonce="somebody-elses"), "nonce_mismatch"),
    # 7.3 registered claims
    ("K-13 iss wrong", put(iss="https://other.example"), "issuer_mismatch"),
    ("K-13 iss with slash", put(iss="https://lms.example/"), "issuer_mismatch"),
    ("K-13 iss by http", put(iss="http://lms.example"), "issuer_mismatch"),
    ("K-14 aud other", put(aud="client-9"), "audience_mismatch"),
    ("K-16 aud with a stranger", put(aud=["client-1", "stranger"], azp="client-1"), "audience_untrusted"),
    ("K-18 azp other", put(aud=["client-1"], azp="stranger"), "azp_mismatch"),
    ("K-20 aud text, azp other", put(azp="stranger"), "azp_mismatch"),
    ("K-21 aud absent", put(aud=None), "audience_mismatch"),
    ("K-21 aud empty", put(aud=[]), "audience_mismatch"),
    ("K-21 aud number", put(aud=1), "audience_mismatch"),
    ("K-22 expired beyond leeway", _exp(-61), "expired"),
    ("K-23 exp absent", put(exp=None), "time_invalid"),
    ("K-23 exp text", put(exp="123"), "time_invalid"),
    ("K-23 exp true", put(exp=True), "time_invalid"),
    ("S-14 exp in the far future", put(exp=1e30), "lifetime_too_long"),
    ("K-24 iat absent", put(iat=None), "time_invalid"),
    ("K-25 iat in ten minutes", _iat(600), "issued_in_future"),
    ("S-14 iat in two minutes", _iat(120), "issued_in_future"),
    ("K-26 iat a day ago", _iat(-86_000), "issued_too_long_ago"),
    ("S-14 iat eleven minutes ago", _iat(-660), "issued_too_long_ago"),
    ("K-27 nbf in the future", put(nbf=4_000_000_000), "not_yet_valid"),
    # 7.4 LTI claims
    ("M-01 message type unknown", put(lti_message_type="Foo"), "message_type_unsupported"),
    ("M-01 message type empty", put(lti_message_type=""), "message_type_unsupported"),
    ("M-01 message type number", put(lti_message_type=1), "message_type_unsupported"),
    ("M-02 version as number", put(lti_version=1.3), "version_unsupported"),
    ("M-02 version 1.3", put(lti_version="1.3"), "version_unsupported"),
    ("M-02 version with a blank", put(lti_version="1.3.0 "), "version_unsupported"),
    ("M-02 version LTI-1p0", put(lti_version="LTI-1p0"), "version_unsupported"),
    ("M-03 deployment empty", put(lti_deployment_id=""), "deployment_missing"),
    ("M-03 deployment null", null("deployment_id"), "deployment_missing"),
    ("M-03 deployment too long", put(lti_deployment_id="x" * 256), "deployment_missing"),
    ("M-04 deployment unknown", put(lti_deployment_id="deployment-9"), "deployment_pending"),
    ("M-06 resource link without id", put(lti_resource_link={}), "resource_link_invalid"),
    ("M-06 resource link id empty", put(lti_resource_link={"id": ""}), "resource_link_invalid"),
    ("M-06 resource link id too long", put(lti_resource_link={"id": "x" * 256}), "resource_link_invalid"),
    ("S-28 resource link id with NUL", put(lti_resource_link={"id": "a\0b"}), "resource_link_invalid"),
    ("D20 synthetic is not the platform's to say", put(lti_resource_link={"synthetic": "yes"}), "resource_link_invalid"),
    ("D20 nor with the plugin's own word", put(lti_resource_link={"synthetic": True}), "resource_link_invalid"),
    ("a code of the target's own", put(lti_target_link_uri="https://app.example/tool?code=planted"), "target_not_registered"),
    ("S-11 dot segments with parameters", put(lti_target_link_uri="https://app.example/tool/..;x/"), "target_not_registered"),
    ("M-09 roles text", put(lti_roles=f"{M}Instructor"), "roles_invalid"),
    ("M-09 roles null", null("roles"), "roles_invalid"),
    ("M-09 roles of numbers", put(lti_roles=[1]), "roles_invalid"),
    ("M-17 sub number", put(sub=7), "subject_invalid"),
    ("M-17 sub too long", put(sub="x" * 256), "subject_invalid"),
    ("S-28 sub with NUL", put(sub="a\0b"), "subject_invalid"),
    ("S-28 sub with a surrogate", put(sub="\ud800"), "subject_invalid"),
    ("M-18 context without id", put(lti_context={"title": "x"}), "context_invalid"),
    ("M-18 context id empty", put(lti_context={"id": ""}), "context_invalid"),
    ("S-28 context id with a surrogate", put(lti_context={"id": "\udfff"}), "context_invalid"),
    ("M-25 no target", put(lti_target_link_uri=None), "target_missing"),
    ("M-25 empty target", put(lti_target_link_uri=""), "target_missing"),
    ("M-26 target of a stranger", put(lti_target_link_uri="https://evil.example/"), "target_not_registered"),
    ("S-11 look-alike host", put(lti_target_link_uri="https://app.example.evil.com/tool"), "target_not_registered"),
    ("S-11 credentials", put(lti_target_link_uri="https://app.example@evil.com/tool"), "target_not_registered"),
    ("S-11 no scheme", put(lti_target_link_uri="//evil.com"), "target_not_registered"),
    ("S-11 dot segments", put(lti_target_link_uri="https://app.example/tool/../../x"), "target_not_registered"),
    ("S-11 other port", put(lti_target_link_uri="https://app.example:8443/tool"), "target_not_registered"),
    ("S-13 deep linking without settings", put(lti_message_type="LtiDeepLinkingRequest"), "deep_linking_invalid"),
    (
        "DL-02 deep linking without return URL",
        put(**{"lti_message_type": "LtiDeepLinkingRequest",
               "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings": {"accept_types": ["link"]}}),
        "deep_linking_invalid",
    ),
    (
        "DL-03 deep linking without types",
        put(**{"lti_message_type": "LtiDeepLinkingRequest",
               "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings": {"deep_link_return_url": "https://lms.example/r"}}),
        "deep_linking_invalid",
    ),
]  # fmt: skip

_NO_NAMES = {"name": None, "given_name": None, "family_name": None, "middle_name": None}
_NO_PERSON = put(**_NO_NAMES, email=None)

#: (name, change to the claims, what the launch must hold: dotted path -> value)
ACCEPTED: list[tuple[str, Change, dict[str, Any]]] = [
    ("C-T01 instructor", put(), {"role": "instructor", "user.name": "Ada Byron", "context.title": "Biology 101"}),
    ("C-T02 with institution roles", put(lti_roles=[f"{M}Instructor", f"{V2}institution/person#Staff", f"{V2}institution/person#Other"]), {"role": "instructor"}),
    ("C-T03 short role", put(lti_roles=["Instructor"]), {"role": "instructor"}),
    ("C-T04 unknown role", put(lti_roles=[f"{V2}unknown/unknown#Helper"]), {"role": "none"}),
    ("C-T05 no role", put(lti_roles=[""]), {"role": "none"}),
    ("C-T06 e-mail only", put(**_NO_NAMES), {"user.name": None, "user.email": "ada@example.edu"}),
    ("C-T07 names only", put(email=None), {"user.email": None, "user.name": "Ada Byron"}),
    ("C-T08 no personal data", _NO_PERSON, {"user.name": None, "user.locale": "en-US"}),
    ("C-T09 no context", put(lti_context=None), {"context": None, "role": "instructor"}),
    ("C-S01 student", put(lti_roles=[f"{M}Learner"]), {"role": "learner"}),
    ("C-S02 student with roles", put(lti_roles=[f"{M}Learner", f"{V2}institution/person#Student", f"{V2}institution/person#Mentor"]), {"role": "learner"}),
    ("C-S03 short role", put(lti_roles=["Learner"]), {"role": "learner"}),
    ("C-S04 unknown beside", put(lti_roles=[f"{M}Learner", f"{V2}uknownrole/unknown#Unknown"]), {"role": "learner"}),
    ("C-S05 no role", put(lti_roles=[""]), {"role": "none"}),
    ("C-S06 student e-mail only", put(lti_roles=["Learner"], **_NO_NAMES), {"role": "learner", "user.name": None}),
    ("C-S07 student names only", put(lti_roles=["Learner"], email=None), {"role": "learner", "user.email": None}),
    ("C-S08 student no personal data", put(lti_roles=["Learner"], **_NO_NAMES, email=None), {"user.name": None}),
    ("C-S09 student no context", put(lti_roles=["Learner"], lti_context=None), {"context": None}),
    ("C-S10 only a resource link", put(lti_resource_link={"id": "r"}, lti_context=None, **_NO_NAMES, email=None), {"resource_link.lms_id": "r", "resource_link.title": None}),
    ("K-15 aud list", put(aud=["client-1"]), {}),
    ("K-19 aud text and azp", put(azp="client-1"), {}),
    ("K-22 expired within leeway", _exp(-50), {}),
    ("K-25 iat in five seconds", _iat(5), {}),
    ("M-07 link without title", put(lti_resource_link={"id": "r"}), {"resource_link.title": None}),
    ("M-08 roles empty", put(lti_roles=[]), {"role": "none"}),
    ("M-10 sub-role alone", put(lti_roles=[f"{V2}membership/Instructor#TeachingAssistant"]), {"role": "teaching_assistant"}),
    ("M-11 institution instructor", put(lti_roles=[f"{V2}institution/person#Instructor"]), {"role": "none"}),
    ("M-12 learner sub-role", put(lti_roles=[f"{V2}membership/Learner#Instructor"]), {"role": "learner"}),
    ("M-13 deprecated role", put(lti_roles=[f"{V2}person#Administrator", "urn:lti:role:ims/lis/Learner"]), {"role": "learner"}),
    ("M-14 test user", put(lti_roles=[f"{M}Learner", "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"]), {"role": "learner", "test_user": True}),
    ("M-15 mentor scope without mentor", put(lti_role_scope_mentor=["1"]), {"role": "instructor"}),
    ("M-19 context type short", put(lti_context={"id": "c", "type": ["CourseSection"]}), {"context.types": [f"{V2}course#CourseSection"]}),
    ("M-19 context type URN", put(lti_context={"id": "c", "type": ["urn:lti:context-type:ims/lis/Group"]}), {"context.types": [f"{V2}course#Group"]}),
    ("M-19 context type unknown", put(lti_context={"id": "c", "type": ["Account"]}), {"context.types": ["Account"]}),
    ("M-19 context type absent", put(lti_context={"id": "c"}), {"context.types": []}),
    ("M-20 platform without guid", put(lti_tool_platform={"name": "x"}), {}),
    ("M-21 unknown claims", put(**{"https://vendor.example/x": {"deep": [1]}, "lti_context": {"id": "c", "vendor": {"a": 1}}}), {"context.lms_id": "c"}),
    ("M-22 lis", put(lti_lis={"person_sourcedid": "SIS-1", "course_section_sourcedid": ""}), {"lis.person_sourcedid": "SIS-1", "lis.course_section_sourcedid": None}),
    ("M-23 custom", put(lti_custom={"a": "", "b": "$Context.id.history", "c": 7, "d": True, "e": None, "f": "$5 off"}), {"custom": {"a": "", "c": "7", "d": "true", "f": "$5 off"}}),
    ("custom of any size", put(lti_custom={"n": 10**30, "l": ["\ud800"]}), {"custom": {"n": "1" + "0" * 30, "l": '["\\ud800"]'}}),
    ("surrogates in lists", put(lti_context={"id": "c", "type": ["\ud800", "x\ud800"]}), {"context.types": ["x"]}),
    ("M-24 presentation", put(lti_launch_presentation={"height": "700", "width": 12.0, "document_target": "popup", "locale": "en_US"}), {"presentation.height": 700, "presentation.width": 12, "presentation.target": "window", "presentation.locale": "en-US"}),
    ("M-27 return_url javascript", put(lti_launch_presentation={"return_url": "javascript:alert(1)"}), {"presentation.return_url": None}),
    ("M-28 names of the world", put(name="שלום 🙂 <b>x</b>"), {"user.name": "שלום 🙂 <b>x</b>"}),
    ("S-28 title with NUL", put(lti_resource_link={"id": "r", "title": "a\0b\ud800"}), {"resource_link.title": "ab"}),
    ("M-30 an old id without proof", put(lti_lti1p1={"user_id": "9", "oauth_consumer_key": "k", "oauth_consumer_key_sign": "bad"}), {"user.subject": "39890"}),
    ("M-33 junk members", put(lti_context={"id": "c", "errors": {"errors": {}}, "validation_context": None}, errors={"errors": {}}), {"context.lms_id": "c"}),
    ("D19 a target of the application", put(lti_target_link_uri="https://app.example/tool/lab-1"), {"target_link_uri": "https://app.example/tool/lab-1"}),
]  # fmt: skip

__all__ = ["ACCEPTED", "LTI", "REFUSED"]
