"""Its adapter is none."""

from ltihost.plugins import Manifest, hookimpl

manifest = Manifest(key="odd_adapter", name="Odd adapter")


@hookimpl
def register_adapter() -> type[object]:
    return dict
