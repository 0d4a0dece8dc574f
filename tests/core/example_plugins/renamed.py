"""Its manifest has another key than its entry point."""

from ltihost.plugins import Manifest

manifest = Manifest(key="something_else", name="Renamed")
