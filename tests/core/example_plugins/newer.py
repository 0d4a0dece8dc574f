"""It was made for a host of the future."""

from ltihost.plugins import API, Manifest

manifest = Manifest(key="newer", name="Newer", api=(API[0], API[1] + 1))
