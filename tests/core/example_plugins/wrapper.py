"""It wraps other plugins' hooks."""

from collections.abc import Generator

from ltihost.plugins import Manifest, hookimpl

manifest = Manifest(key="wrapper", name="Wrapper")


@hookimpl(wrapper=True)  # type: ignore[untyped-decorator, unused-ignore]
def map_roles() -> Generator[None, object, object]:
    result = yield
    return result
