"""Every error the host raises, as one tree. Each carries a stable `code` that scripts may match.

LtihostError
├── ConfigurationError      the host cannot start like this (exit status 78)
├── Refused                 a login or launch is not let through; `code` is a key of REASONS
├── NotFound                what was named does not exist, or belongs to another tenant
├── Conflict                it exists already, or its state forbids the change
├── Invalid                 a value was given that cannot be used
├── Gone                    it was there, and its time is over
├── NotPermitted            the person or key may not do this
├── Busy                    the database cannot take the work now; try again shortly
├── DecryptionError         a stored secret does not open with any key of the ring
├── PluginRefused           an installed plugin could not be loaded
├── PluginFailed            a plugin's hook raised, or answered what it must not
├── ServiceFailed           an LMS's service did not do what it was asked; `outcome` says what that means
└── OutboundError           a request of ours to another server
    ├── OutboundRefused     the guard did not let it leave (nothing was sent)
    └── OutboundFailed      it left and did not come back well
"""

from __future__ import annotations

from dataclasses import dataclass

from ltihost.service_records import Outcome


class LtihostError(Exception):
    """Base of all. `code` is stable, `message` is one sentence that says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"


class ConfigurationError(LtihostError):
    """The settings do not allow the host to start."""


class NotFound(LtihostError):
    """No such object for this tenant. Another tenant's object answers in just the same way."""


class Conflict(LtihostError):
    """The object exists already, or is in a state that forbids the change."""


class Invalid(LtihostError):
    """A value cannot be used; the message names it and says what would do."""


class Gone(LtihostError):
    """What was named can be used no more: it expired or was spent."""


class NotPermitted(LtihostError):
    """The person on whose behalf it is asked for may not do this."""


class Busy(LtihostError):
    """The database did not take the work in time. Nothing was stored; trying again is safe."""


class DecryptionError(LtihostError):
    """A stored secret was altered, moved to another row, or sealed with a key no longer in the ring.

    `tenant_id` is whose it is, `where` the table and the row that hold it.
    """

    def __init__(self, code: str, message: str, *, tenant_id: str, where: str) -> None:
        super().__init__(code, message)
        self.tenant_id = tenant_id
        self.where = where


class PluginRefused(LtihostError):
    """An installed plugin was not loaded; the host runs without it."""


class PluginFailed(LtihostError):
    """A plugin's hook raised an exception or answered what the hook may not answer."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__("plugin_error", f"The plugin {key} failed: {what}.")
        self.received = f"{key}: {what}"


class ServiceFailed(LtihostError):
    """A service call did not succeed. `outcome` is what it means for the work, `status` the HTTP status if one came.

    `code` is the outcome's. `excerpt` is the beginning of the answer, for administrators.
    """

    def __init__(self, outcome: Outcome, message: str, *, status: int | None = None, excerpt: str = "") -> None:
        super().__init__(getattr(outcome, "code", "service_failed"), message)
        self.outcome = outcome
        self.status = status
        self.excerpt = excerpt[:300]


class OutboundError(LtihostError):
    """A request to another server did not succeed."""


class OutboundRefused(OutboundError):
    """The guard refused the URL or the address behind it. No connection was made."""


class OutboundFailed(OutboundError):
    """No usable answer: time-out, connection error, status, redirect or size.

    `status` is the HTTP status if one came, else None. `sent` is False only when the request surely never left:
    the name did not resolve, the connection was refused, TLS failed.
    """

    def __init__(self, code: str, message: str, status: int | None = None, *, sent: bool = True) -> None:
        super().__init__(code, message)
        self.status = status
        self.sent = sent


class Refused(LtihostError):
    """A login or launch is not let through.

    `code` is a key of REASONS. `expected` and `received` are for administrators; they are stored with
    the attempt and never shown to the person in the browser. `check` names the failed check (CHECKS).
    """

    def __init__(self, code: str, check: str, *, expected: str | None = None, received: str | None = None) -> None:
        super().__init__(code, REASONS[code].cause)
        self.check = check
        self.expected = expected
        self.received = None if received is None else received[:500]

    @property
    def reason(self) -> Reason:
        return REASONS[self.code]


#: The checks of a launch in the order in which they are made.
CHECKS = (
    "registration", "state", "browser", "token", "key", "signature", "issuer", "audience", "time", "nonce",
    "deployment", "plugin", "version", "message_type", "target", "roles", "resource_link", "subject", "context",
    "replay",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reason:
    """What one refusal code means: `status` and `page` face the person, `cause` and `fix` the administrator."""

    status: int
    page: str
    cause: str
    fix: str


#: The pages a person can see; several codes share one, so that a page never tells an attacker what failed.
#: The words stand in `pages.py`.
PAGES = ("relaunch", "unknown", "browser", "waiting", "off", "rejected", "no_picker", "late", "later", "account")


def _r(status: int, page: str, cause: str, fix: str) -> Reason:
    return Reason(status, page, cause, fix)


#: Every way in which a login or launch can be refused.
REASONS: dict[str, Reason] = {
    # login
    "missing_parameter": _r(400, "rejected", "The login request lacks a required parameter.",
                            "Check the login URL in the LMS; a person who opened it by hand gets this too."),
    "duplicate_parameter": _r(400, "rejected", "A parameter came twice.",
                              "Check the tool URLs in the LMS for parameters that were typed into them."),
    "parameter_invalid": _r(400, "rejected", "A parameter is too long or holds characters it cannot hold.",
                            "Check the tool settings in the LMS."),
    "unknown_registration": _r(403, "unknown", "No registration has this issuer and client id.",
                               "Compare issuer and client id with the LMS character by character, trailing slash included."),
    "ambiguous_registration": _r(403, "unknown", "Several registrations fit and the request does not say which.",
                                 "Give the LMS the registration's own URLs (`ltihost registration show`)."),
    "registration_inactive": _r(403, "unknown", "The registration is not active.",
                                "Approve it: `ltihost registration approve ID`."),
    "tenant_suspended": _r(403, "off", "The tenant is suspended on this host.",
                           "Resume it: `ltihost tenant resume SLUG`."),
    "plugin_disabled": _r(403, "off", "The plugin of this registration is not enabled for the tenant.",
                          "Enable it: `ltihost plugin enable KEY --tenant SLUG`."),
    "plugin_unavailable": _r(503, "off", "The plugin of this registration is not loaded on this host.",
                             "Look at `ltihost plugin list`; install or repair the plugin, then restart."),
    # the answer of the platform
    "form_invalid": _r(400, "relaunch", "The request holds neither an id_token nor an error.",
                       "Somebody opened or reloaded the launch URL by hand; the launch has to start in the LMS."),
    "platform_error": _r(400, "relaunch", "The LMS answered the sign-in with an error instead of a launch.",
                         "Look up the error shown under `received` in the LMS."),
    "access_denied": _r(401, "account", "The LMS did not let this person sign in to the tool (`access_denied`).",
                        "Often the person is signed in there as somebody else by now, in another tab."),
    "login_required": _r(401, "account", "The LMS says that the person is not signed in there, or as somebody else.",
                         "Often the browser blocks the LMS's own cookies in the frame, or two accounts are open."),
    "launch_no_longer_valid": _r(400, "relaunch", "The LMS says that this launch was used already or is too old.",
                                 "Reload, back button or a double click cause it; opening the link again helps."),
    # state and browser
    "state_missing": _r(400, "relaunch", "The launch came without a state.",
                        "The LMS must return the state it was given; a request made by hand has none."),
    "state_invalid": _r(401, "relaunch", "The state was not made by this host or was altered.",
                        "If all launches fail so, the processes do not share one LTIHOST_SECRET_KEY."),
    "state_expired": _r(401, "relaunch", "More than ten minutes passed between login and launch.",
                        "Open the link again; if all launches fail so, check this host's clock."),
    "state_used": _r(401, "relaunch", "This launch was completed before.",
                     "Reload, back button or a double click cause it; it is also what a replayed launch looks like."),
    "browser_binding": _r(401, "browser", "The launch came back without proof that this browser started it.",
                          "The browser blocks cookies in frames and the LMS offers no storage: let the link open in a new window."),
    # the token
    "token_malformed": _r(400, "rejected", "The id_token is not a signed JSON web token.",
                          "Check that the LMS uses LTI 1.3 for this tool."),
    "token_too_large": _r(400, "rejected", "The id_token is larger than this registration allows.",
                          "Remove large custom parameters from the tool in the LMS."),
    "alg_not_allowed": _r(401, "rejected", "The id_token is signed with an algorithm that is not allowed here.",
                          "RS256 is what LTI asks for; another one must be allowed on the registration."),
    "header_unsupported": _r(401, "rejected", "The id_token header asks for something this host does not do.",
                             "Ask the LMS vendor why it sends a critical header."),
    "dup_member": _r(400, "rejected", "The id_token names a member twice.", "Ask the LMS vendor; such a token has two meanings."),
    "kid_missing": _r(401, "rejected", "The id_token does not name its key (kid).",
                      "The LMS must send a kid; a single-key platform can be allowed on the registration."),
    "kid_invalid": _r(401, "rejected", "The key name (kid) in the id_token cannot be used.", "Ask the LMS vendor."),
    "key_not_found": _r(401, "rejected", "The key set of the LMS has no key of this name.",
                        "Check the key set URL of the registration: it must be the one of this LMS and client."),
    "key_unusable": _r(401, "rejected", "The key in the key set is not meant for this signature.",
                       "Check the key set of the LMS: key type, alg and use."),
    "key_too_small": _r(401, "rejected", "The key of the LMS is weaker or larger than allowed (RSA 2048 to 8192 bits).",
                        "The LMS must make a new key."),
    "keys_unavailable": _r(503, "later", "The key set of the LMS could not be fetched.",
                           "Check the key set URL, its certificate and, for a private network, LTIHOST_ALLOW_NETWORKS."),
    "sig_invalid": _r(401, "rejected", "The signature of the id_token is wrong.",
                      "Check that the key set URL belongs to this very LMS; otherwise the token was altered."),
    "claims_malformed": _r(400, "rejected", "The content of the id_token is not a usable JSON object.", "Ask the LMS vendor."),
    "issuer_mismatch": _r(401, "rejected", "The id_token comes from another issuer than the registration's.",
                          "Correct the issuer of the registration, exactly as the LMS sends it."),
    "audience_mismatch": _r(401, "rejected", "The id_token is meant for another client id.",
                            "Compare the client ids; if the registration's is wrong: "
                            "`ltihost registration set ID client-id=CLIENT-ID`."),
    "audience_untrusted": _r(401, "rejected", "The id_token is also meant for an audience that is not trusted.",
                             "Add the audience to the registration's trusted audiences if it is yours."),
    "azp_mismatch": _r(401, "rejected", "The authorised party of the id_token is missing or another client.",
                       "Correct the client id of the registration."),
    "mix_up": _r(401, "rejected", "The id_token belongs to another registration than the login.",
                 "Two registrations of this LMS are mixed: compare the client ids in the tool's settings."),
    "expired": _r(401, "late", "The id_token has expired.",
                  "If all launches fail so, the clock of the LMS or of this host is wrong."),
    "time_invalid": _r(401, "rejected", "A time in the id_token is missing or not a number.", "Ask the LMS vendor."),
    "issued_in_future": _r(401, "rejected", "The id_token was issued in the future.",
                           "The clock of the LMS is ahead of this host's; set both by NTP."),
    "issued_too_long_ago": _r(401, "late", "The id_token was issued more than ten minutes ago.",
                              "The clock of the LMS is behind this host's, or the browser was kept waiting."),
    "not_yet_valid": _r(401, "rejected", "The id_token is not valid yet (nbf).",
                        "The clock of the LMS is ahead of this host's; set both by NTP."),
    "lifetime_too_long": _r(401, "rejected", "The id_token is valid for more than a day.", "Ask the LMS vendor."),
    "nonce_mismatch": _r(401, "rejected", "The id_token does not carry the nonce of this login.",
                         "The LMS must return the nonce unchanged."),
    # deployment and plugin
    "deployment_missing": _r(400, "rejected", "The launch names no usable deployment.", "Ask the LMS vendor."),
    "deployment_mismatch": _r(401, "rejected", "Login and launch name different deployments.", "Ask the LMS vendor."),
    "deployment_pending": _r(403, "waiting", "This deployment waits for approval.",
                             "`ltihost deployment approve REGISTRATION DEPLOYMENT --tenant SLUG --app SLUG`"),
    "deployment_disabled": _r(403, "off", "This deployment is switched off.", "Approve it again if that was a mistake."),
    "instance_changed": _r(403, "waiting", "A known deployment came from another LMS installation than before.",
                           "A copied test system does that. Confirm it by approving the deployment again."),
    "plugin_error": _r(500, "later", "The plugin failed while reading this launch.",
                       "Look in the log under this code; report it to the plugin's author."),
    # the message
    "version_unsupported": _r(400, "rejected", "The launch is not LTI 1.3.0.", "Check the LTI version of the tool in the LMS."),
    "message_type_unsupported": _r(400, "rejected", "This kind of message is not supported.",
                                   "Remove the placement in the LMS, or ask the plugin's author."),
    "target_missing": _r(400, "rejected", "The launch does not say where it wants to go.", "Set the tool URL in the LMS."),
    "target_not_registered": _r(403, "rejected", "The launch wants to go to a URL that is not the application's.",
                                "Correct the tool URL in the LMS, or allow the URL: `ltihost app set SLUG allow-target=URL,...`."),
    "roles_invalid": _r(400, "rejected", "The launch has no list of roles.",
                        "Let the LMS send roles (privacy settings of the tool)."),
    "resource_link_invalid": _r(400, "rejected", "The launch does not name the link it came from.", "Ask the LMS vendor."),
    "subject_missing": _r(400, "account", "The launch does not say who the person is.",
                          "The person is not signed in, or the tool is set to anonymous in the LMS."),
    "subject_invalid": _r(400, "rejected", "The user id in the launch cannot be used.", "Ask the LMS vendor."),
    "context_invalid": _r(400, "rejected", "The course in the launch has no usable id.", "Ask the LMS vendor."),
    "deep_linking_invalid": _r(400, "rejected", "The deep linking request lacks its settings.", "Ask the LMS vendor."),
    "deep_linking_off": _r(403, "off", "Deep linking is switched off for this registration.",
                           "`ltihost registration set ID deep-linking=yes`"),
    "picker_missing": _r(403, "no_picker", "The LMS asks for content, and the application has no page where it is chosen.",
                         "`ltihost app set APP --tenant TENANT picker-url=URL`, or take deep linking off the tool in the LMS."),
    "return_url_held": _r(403, "rejected", "The LMS wants content back at another origin than before; that needs an operator's look.",
                          "If the LMS moved: `ltihost deployment origins REGISTRATION DEPLOYMENT --accept ORIGIN`."),
    "submission_review_invalid": _r(400, "rejected", "The submission review names no person or no column of the gradebook.",
                                    "Ask the LMS vendor."),
    "submission_not_own": _r(403, "rejected", "A person without a teaching role asked for somebody else's submission.",
                             "Check the roles that the LMS sends; a learner may review only what is his."),
    "notice_invalid": _r(400, "rejected", "A notice of the LMS lacks what its type needs, or is no notice.",
                         "Ask the LMS vendor."),
    # our own state
    "user_suspended": _r(403, "off", "The person is suspended on this host.", "Lift the suspension."),
    "user_unknown": _r(403, "off", "The person is not known here and this registration does not create people.",
                       "`ltihost registration set ID create-users=yes`"),
    "context_unknown": _r(403, "off", "The course is not known here and this registration does not create courses.",
                          "`ltihost registration set ID create-contexts=yes`"),
    "secret_unreadable": _r(503, "later", "A secret that the tenant's plugin needs does not open: it was altered, moved, or its key left the ring.",
                            "Give `LTIHOST_SECRET_KEY` that key back, or set it anew: `ltihost plugin enable KEY --tenant SLUG --set NAME=VALUE`."),
    "busy": _r(503, "later", "The database did not answer in time.", "Look at the load and the log of the database."),
    "unexpected": _r(500, "later", "Something failed on this host.", "Look in the log under this code."),
}  # fmt: skip
