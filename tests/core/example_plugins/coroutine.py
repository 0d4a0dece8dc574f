"""Its hook is a coroutine."""

from ltihost.plugins import Manifest, hookimpl

manifest = Manifest(key="coroutine", name="Coroutine")


@hookimpl
async def normalise_claims(claims: dict[str, object]) -> None:
    """Hooks are plain functions."""
