"""Settings as a configuration would give them."""

from pathlib import Path

from emdc.config import Settings
from emdc.config.database import Database


def settings_for(file: Path) -> Settings:
    """Settings without a meter that store in a SQLite file."""
    return Settings(database=Database(host=str(file)))
