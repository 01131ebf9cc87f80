"""From what a client calls a metric to the meter and the topic that it means.

A name is a metric name, when only one meter has it, or a full topic `<prefix>/<metric name>`.
Pure. No index of full topics is kept: a thousand meters with a shared map would make it larger
than everything else in memory, and a search through the meters takes microseconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from emdc.reading import MeterProfile, Topic
from emdc.web.exchange import nearest, quoted, refuse

_MOST_CANDIDATES: Final = 2000


@dataclass(frozen=True, slots=True)
class Named:
    """One metric of one meter."""

    meter: str
    topic: Topic
    interval_s: float | None
    """Seconds between its scheduled readings; None: it is read only when asked for."""

    @property
    def full(self) -> str:
        """`<prefix>/<metric name>`."""
        return f"{self.meter}/{self.topic.name}"


def due_every(profile: MeterProfile, topic: Topic) -> float | None:
    """Seconds between scheduled readings of a topic; None when its meter has no schedule."""
    if profile.interval_s is None:
        return None
    return topic.interval_s or profile.interval_s


class Names:
    """The names of all metrics of all meters."""

    def __init__(self, profiles: Iterable[MeterProfile]) -> None:
        self._profiles = {profile.name: profile for profile in profiles}
        # Meters of one model share their tuple of topics, so its table is made once.
        shared: dict[int, Mapping[str, Topic]] = {}
        self._tables: dict[str, Mapping[str, Topic]] = {}
        for profile in self._profiles.values():
            table = shared.get(id(profile.topics))
            if table is None:
                table = shared[id(profile.topics)] = {t.name: t for t in profile.topics}
            self._tables[profile.name] = table
        self._metrics = list(dict.fromkeys(name for table in shared.values() for name in table))

    def meter(self, name: str) -> MeterProfile:
        """The profile of a meter. Raises 404 with the nearest names."""
        if (profile := self._profiles.get(name)) is None:
            hint = nearest(name, self._some_meters())
            raise refuse(404, f"no meter is called {quoted(name)}{hint}; GET /health lists them")
        return profile

    def knows(self, full: str) -> bool:
        """Whether a full topic is one of these."""
        slashes = (place for place, letter in enumerate(full) if letter == "/")
        return any(full[at + 1 :] in self._tables.get(full[:at], ()) for at in slashes)

    def find(self, name: str) -> Named:
        """The metric that `name` means. Raises 400 when it means none, or several."""
        found = self._by_topic(name) or self._by_metric(name)
        if not found:
            raise refuse(400, self._unknown(name))
        if len(found) > 1:
            some = ", ".join(f"{meter}/{name}" for meter in found[:3])
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            raise refuse(
                400,
                f"{quoted(name)} is a metric of {len(found)} meters; "
                f"name one of them in full: {some}{more}",
            )
        return self._named(found[0], name)

    def _named(self, meter: str, name: str) -> Named:
        table, profile = self._tables[meter], self._profiles[meter]
        topic = table.get(name) or table[name[len(meter) + 1 :]]
        return Named(meter, topic, due_every(profile, topic))

    def _by_topic(self, name: str) -> list[str]:
        return [
            meter
            for meter, table in self._tables.items()
            if name.startswith(meter + "/") and name[len(meter) + 1 :] in table
        ]

    def _by_metric(self, name: str) -> list[str]:
        return [meter for meter, table in self._tables.items() if name in table]

    def _unknown(self, name: str) -> str:
        said = f"no metric is called {quoted(name)}"
        prefix, _, last = name.rpartition("/")
        if prefix in self._tables:
            close = nearest(last, list(self._tables[prefix])[:_MOST_CANDIDATES])
        else:
            close = nearest(last, self._metrics[:_MOST_CANDIDATES])
            if prefix:
                said += f", and no meter {quoted(prefix)}{nearest(prefix, self._some_meters())}"
        return f"{said}{close}; GET /topics lists all"

    def _some_meters(self) -> list[str]:
        return list(self._tables)[:_MOST_CANDIDATES]
