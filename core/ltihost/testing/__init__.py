"""Shipped to plugin authors: simulated platforms and the pytest plugin."""
