"""Names from the LTI specs: claims, message types, roles and context types. Core spec 5 and appendix A."""

from __future__ import annotations

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
MESSAGE_TYPE = LTI + "message_type"
VERSION = LTI + "version"
DEPLOYMENT_ID = LTI + "deployment_id"
TARGET_LINK_URI = LTI + "target_link_uri"
RESOURCE_LINK = LTI + "resource_link"
ROLES = LTI + "roles"
CONTEXT = LTI + "context"
TOOL_PLATFORM = LTI + "tool_platform"
LAUNCH_PRESENTATION = LTI + "launch_presentation"
LIS = LTI + "lis"
CUSTOM = LTI + "custom"
FOR_USER = LTI + "for_user"
NOTICE = LTI + "notice"
ORIGIN_CONTEXTS = LTI + "origin_contexts"
NOTICE_SERVICE = LTI + "platformnotificationservice"
DEEP_LINKING_SETTINGS = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"
AGS_ENDPOINT = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
NAMES_AND_ROLES = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
GROUPS = "https://purl.imsglobal.org/spec/lti-gs/claim/groupsservice"

AGS_SCOPE = "https://purl.imsglobal.org/spec/lti-ags/scope/"
SCOPE_LINE_ITEM = AGS_SCOPE + "lineitem"
SCOPE_LINE_ITEM_READ = AGS_SCOPE + "lineitem.readonly"
SCOPE_RESULT_READ = AGS_SCOPE + "result.readonly"
SCOPE_SCORE = AGS_SCOPE + "score"
SCOPE_MEMBERSHIPS = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"

#: Claims that only the verified token may decide; core puts them back after every plugin.
SECURITY_CLAIMS = ("iss", "aud", "azp", "sub", "nonce", "exp", "iat", DEPLOYMENT_ID)

LIS_V2 = "http://purl.imsglobal.org/vocab/lis/v2/"
MEMBERSHIP = LIS_V2 + "membership"
INSTITUTION_PERSON = LIS_V2 + "institution/person#"
SYSTEM_PERSON = LIS_V2 + "system/person#"
DEPRECATED_PERSON = LIS_V2 + "person#"
TEST_USER = "http://purl.imsglobal.org/vocab/lti/system/person#TestUser"

SYSTEM_ROLES = frozenset({"Administrator", "None", "AccountAdmin", "Creator", "SysAdmin", "SysSupport", "User"})
INSTITUTION_ROLES = frozenset(
    {
        "Administrator", "Faculty", "Guest", "None", "Other", "Staff", "Student", "Alumni", "Instructor", "Learner",
        "Member", "Mentor", "Observer", "ProspectiveStudent",
    }
)  # fmt: skip
#: Context roles with their sub-roles. TeachingAssistant as a role of its own is in no vocabulary, but is sent.
CONTEXT_ROLES: dict[str, frozenset[str]] = {
    "Administrator": frozenset(
        {"Administrator", "Developer", "ExternalDeveloper", "ExternalSupport", "ExternalSystemAdministrator", "Support",
         "SystemAdministrator"}
    ),
    "ContentDeveloper": frozenset({"ContentDeveloper", "ContentExpert", "ExternalContentExpert", "Librarian"}),
    "Instructor": frozenset(
        {"ExternalInstructor", "Grader", "GuestInstructor", "Lecturer", "PrimaryInstructor", "SecondaryInstructor",
         "TeachingAssistant", "TeachingAssistantGroup", "TeachingAssistantOffering", "TeachingAssistantSection",
         "TeachingAssistantSectionAssociation", "TeachingAssistantTemplate"}
    ),
    "Learner": frozenset({"ExternalLearner", "GuestLearner", "Instructor", "Learner", "NonCreditLearner"}),
    "Manager": frozenset({"AreaManager", "CourseCoordinator", "ExternalObserver", "Manager", "Observer"}),
    "Member": frozenset({"Member"}),
    "Mentor": frozenset(
        {"Advisor", "Auditor", "ExternalAdvisor", "ExternalAuditor", "ExternalLearningFacilitator", "ExternalMentor",
         "ExternalReviewer", "ExternalTutor", "LearningFacilitator", "Mentor", "Reviewer", "Tutor"}
    ),
    "Officer": frozenset({"Chair", "Communications", "Secretary", "Treasurer", "Vice-Chair"}),
    "TeachingAssistant": frozenset(),
}  # fmt: skip

_COURSE = LIS_V2 + "course#"
_CONTEXT_TYPES = ("CourseTemplate", "CourseOffering", "CourseSection", "Group")
#: Deprecated short names and URNs of context types -> full URIs. Core spec A.1.
CONTEXT_TYPES = {name: _COURSE + name for name in _CONTEXT_TYPES} | {
    f"urn:lti:context-type:ims/lis/{name}": _COURSE + name for name in _CONTEXT_TYPES
}
