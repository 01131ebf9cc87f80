"""Readings and meters without a meter."""
