"""Plugins of strangers: good, bad and in between."""
