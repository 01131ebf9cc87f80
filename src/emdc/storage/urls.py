"""Addresses of databases as they may be shown, and what a database said, in one line."""

from sqlalchemy import URL


def shown(url: URL) -> str:
    """The URL without its password, for logs and health."""
    return url.render_as_string(hide_password=True)


def reason(error: Exception) -> str:
    """What the database said, in one line and without a statement's values."""
    said = getattr(error, "orig", None) or error
    return " ".join(str(said).split())
