"""It names a hook that does not exist."""

from ltihost.plugins import Manifest, hookimpl

manifest = Manifest(key="misspelt", name="Misspelt")


@hookimpl
def normalize_claims(claims: dict[str, object]) -> None:
    """American spelling."""
