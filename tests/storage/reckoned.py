"""Quarter hours made of stored readings, for tests of what is read."""

from datetime import datetime

from sqlalchemy import Engine

from emdc.storage.intervals.accounts import Accounts


def reckon(engine: Engine, now: datetime) -> None:
    """Store the quarter hours of all meters that a collector would have stored by now."""
    accounts = Accounts(engine)
    for meter_id in accounts.meters().values():
        accounts.advance(meter_id, now)
