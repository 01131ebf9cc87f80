"""Readings in a SQL database."""
