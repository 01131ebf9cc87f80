"""What the old collector left of a topic, for spans before the first reading.

Its rows are found by time and not by topic, so they take longer than readings. Where nobody has
said what their times mean they have no instant: they are left out, and a line of the log says so.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from operator import itemgetter
from typing import Final

from sqlalchemy import Engine, text

from emdc.reading import Value
from emdc.storage.database import connected
from emdc.storage.instants import seconds_of, text_of
from emdc.storage.old_samples import LeftOut, OldSamples, old_samples
from emdc.storage.past.samples import StoredTopic
from emdc.storage.past.tokens import Points, as_number, points

log = logging.getLogger(__name__)

_MARGIN_S: Final = 172_800.0
_MEND: Final = "emdc migrate --data_timezone=ZONE says what the times of the old rows mean"


class OldPoints:
    """The old rows of one database. What there is of them is looked up once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._looked = False
        self._old: OldSamples | None = None
        self._open_zone = False

    @property
    def there(self) -> bool:
        """Whether there are any with a known zone."""
        if not self._looked:
            found = old_samples(self._engine)
            if found is not None and found.zone is None:
                self._open_zone = True
                log.warning("rows of the old collector are left out", extra={"mend": _MEND})
                found = None
            self._old, self._looked = found, True
        return self._old is not None

    @property
    def left_out(self) -> bool:
        """Whether there are rows whose zone nobody has said."""
        return not self.there and self._open_zone

    def values(self, topic: StoredTopic, start: float, end: float) -> Iterator[tuple[float, Value]]:
        """Those of start ≤ instant < end, in order of time."""
        if not self.there or self._old is None or start >= end:
            return
        span = (text_of(start), text_of(end))
        for ts, values in self._old.ticks([topic.topic_id], span, LeftOut()):
            yield seconds_of(ts), values[topic.topic_id]

    def newest(self, topic: StoredTopic) -> tuple[float, Value] | None:
        """The last one."""
        if not self.there:
            return None
        sql = text("SELECT max(ts) FROM data_old WHERE topic_id = :topic")
        with connected(self._engine) as connection:
            last = connection.execute(sql, {"topic": topic.topic_id}).scalar()
        if last is None:
            return None
        # Local time or UTC: the instant is not further away than any zone from UTC.
        about = datetime.fromisoformat(str(last)).replace(tzinfo=UTC).timestamp()
        return max(
            self.values(topic, about - _MARGIN_S, about + _MARGIN_S),
            key=itemgetter(0),
            default=None,
        )

    def numbers(self, topic: StoredTopic, start: float, end: float, most: int) -> Points:
        """The first so many numbers of a span."""
        found = list(islice(self.values(topic, start, end), most))
        return points([at for at, _ in found], [as_number(value) for _, value in found])
