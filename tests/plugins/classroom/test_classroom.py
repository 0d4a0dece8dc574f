"""Google Classroom is known and says plainly that nothing can be launched from it."""

from __future__ import annotations

from tests.plugins.reading import Reader


def test_the_plugin_loads_and_says_what_is_missing() -> None:
    manifest = Reader("classroom").manifest
    assert manifest.kind == "lms"
    assert manifest.note is not None
    assert "not built yet" in manifest.note


def test_it_offers_no_way_to_register() -> None:
    manifest = Reader("classroom").manifest
    assert manifest.guide is None
    assert manifest.presets == ()
