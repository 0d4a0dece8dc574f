"""It asks for a parameter that the hook does not have."""

from ltihost.plugins import Manifest, hookimpl

manifest = Manifest(key="wrong_parameters", name="Wrong parameters")


@hookimpl
def map_roles(roles: list[str], database: object) -> None:
    """There is no database for plugins."""
