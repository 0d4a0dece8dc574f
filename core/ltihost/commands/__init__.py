"""The commands of `ltihost`, one module per noun. `ltihost.cli` is their table."""
