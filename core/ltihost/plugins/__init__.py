"""What a plugin imports: the contract, the hook marker, the adapter and the records that cross the seam."""

from ltihost.lti.variables import unresolved_variable
from ltihost.plugins.contract import API, Document, Guide, Manifest, Preset, ToolUrls
from ltihost.plugins.hookspecs import hookimpl
from ltihost.plugins.lti_adapter import LtiAdapter, SpeaksLti
from ltihost.records import Binding, Launch, Role

__all__ = [
    "API",
    "Binding",
    "Document",
    "Guide",
    "Launch",
    "LtiAdapter",
    "Manifest",
    "Preset",
    "Role",
    "SpeaksLti",
    "ToolUrls",
    "hookimpl",
    "unresolved_variable",
]
