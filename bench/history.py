"""Figure 17: questions about the past, on each kind of database.

Medians of warm runs at the function that HTTP and commands call, for random topics and days; each
answer is checked against what the meters said. Each is asked through another connection before, so
that the server has its pages in memory, which MariaDB keeps few of by itself. After it the same is
asked over HTTP, of the web server in a process of its own. The short form has a meter of 100
metrics with 11 days of minutes, 2 hours of seconds and a year of quarter hours; the long form 10
meters with 30 days of minutes and a day of seconds.
"""

import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench import engines, plant, rig
from bench.history_plant import (
    SECONDS,
    YEAR,
    YEAR_DAYS,
    Size,
    filled,
    minute_values,
    year_start,
)
from bench.rig import Result, at_most
from emdc.energy.answers import EnergyAnswer, Series
from emdc.storage.past.chronicle import Chronicle
from emdc.web.spans import iso

DAY_S = 86_400
WARM_RUNS = 3
PATIENCE_S = 8.0
HTTP_MS = 5
"""The most that HTTP may add."""
NEWEST_MS = {"sqlite": 0.06, "postgresql": 0.3, "mariadb": 0.3}


@dataclass(frozen=True)
class Question:
    """One question, and the most milliseconds that its answer may take."""

    what: str
    most_ms: float | None
    ask: Callable[[], Any]
    check: Callable[[Any], bool]
    path: Callable[[], str] | None = None
    """The address of what was asked last; None: it has none."""
    rows: str = "rows"
    """Where the address gives as many as the answer has."""


def run(*, long: bool) -> list[Result]:
    size = Size(10, 30 * 1440, DAY_S) if long else Size(1, 11 * 1440, 7200)
    results: list[Result] = []
    for kind in engines.KINDS:
        with (
            tempfile.TemporaryDirectory() as name,
            engines.new_database(kind, Path(name)) as place,
            filled(place, size) as engine,
            Chronicle(engine, clock=lambda: _now(size)) as chronicle,
            Chronicle(engine, clock=lambda: _now(size)) as before,
            _site(place.url, _now(size)) as site,
        ):
            # Both are asked for the same topics and days.
            alike = (Asker(each, size).questions(kind) for each in (before, chronicle))
            for warm, question in zip(*alike, strict=True):
                what = f"{place.title}: {question.what}"
                results += _results(what, warm, question, site, runs=200 if long else 60)
    return results


def _now(size: Size) -> float:
    return max(size.end, size.seconds_start + timedelta(seconds=size.seconds)).timestamp() + 5


@contextmanager
def _site(url: str, now: float) -> Iterator[HTTPConnection]:
    """A connection to the web server over a database."""
    (port,) = rig.free_ports(1)
    command = [sys.executable, "-m", "bench.history_site", url, str(port), str(now)]
    with rig.running(command, stdout=subprocess.PIPE) as process:
        rig.await_ready(process, "the web server")
        site = HTTPConnection(rig.HOST, port, timeout=60)
        try:
            yield site
        finally:
            site.close()


def _results(
    what: str, warm: Question, question: Question, site: HTTPConnection, runs: int
) -> list[Result]:
    end = time.monotonic() + PATIENCE_S
    times: list[float] = []
    more: list[float] = []
    while len(times) < runs + WARM_RUNS and (time.monotonic() < end or len(times) <= WARM_RUNS):
        warm.ask()
        began = time.perf_counter()
        answer = question.ask()
        times.append(time.perf_counter() - began)
        if not question.check(answer):
            raise SystemExit(f"{what}: not what the meters said: {str(answer)[:500]}")
        if question.path is not None:
            more.append(_over_http(question, answer, site) - times[-1])
    median = 1000 * statistics.median(times[WARM_RUNS:])
    limit = question.most_ms
    found = Result(what, f"{median:.2f} ms")
    results = [found if limit is None else at_most(what, median, limit, " ms")]
    if more:
        added = 1000 * statistics.median(more[WARM_RUNS:])
        results.append(at_most(f"{what}: more over HTTP", added, HTTP_MS, " ms"))
    return results


def _over_http(question: Question, answer: Any, site: HTTPConnection) -> float:
    """Seconds that the same takes there, to the last byte."""
    assert question.path is not None
    path = question.path()
    began = time.perf_counter()
    site.request("GET", path)
    response = site.getresponse()
    body = response.read()
    took = time.perf_counter() - began
    given = json.loads(body)
    rows = answer.periods if question.rows == "periods" else answer.buckets
    if response.status != 200 or len(given[question.rows]) != len(rows):
        raise SystemExit(f"{path}: {response.status}, {body[:500]!r}, expected {len(rows)} rows")
    return took


class Asker:
    """Asks for topics and days that a seed picks."""

    def __init__(self, chronicle: Chronicle, size: Size) -> None:
        self._chronicle = chronicle
        self._size = size
        self._random = random.Random(17)
        self._start = plant.START.timestamp()
        self._meter = 0
        self._metric = 0
        self._first = 0
        self._asked = ""

    def questions(self, kind: str) -> Sequence[Question]:
        """All of them."""
        size = self._size
        days = size.minutes // 1440
        hours = size.seconds / 3600
        return [
            Question("newest value", NEWEST_MS[kind], self._newest, self._is_last),
            Question("a day of minutes as read", 10, self._day, self._is_day),
            Question(
                "a day of minutes as a series",
                10,
                self._day_series,
                self._is_day_series,
                lambda: self._path("history", *self._asked_span(), points=2000),
            ),
            Question(
                f"{days} days of minutes in 1000 points",
                15,
                self._month,
                lambda answer: self._is_whole(answer, "intervals"),
                lambda: self._path("history", self._start, self._end()),
            ),
            Question(
                f"{hours:.0f} hours of seconds in 1000 points",
                200 if size.seconds == DAY_S else None,
                self._seconds,
                lambda answer: sum(b.count for b in answer.buckets) == size.seconds,
                lambda: self._path("history", self._start, self._start + size.seconds),
            ),
            Question(
                f"energy per day of {days} days",
                3,
                self._energy,
                self._is_energy,
                lambda: self._path("energy", self._start, self._end(), per="day"),
                "periods",
            ),
            Question(
                "energy of a year per month",
                20,
                self._year,
                self._is_year,
                lambda: self._path("energy", *self._year_span(), per="month"),
                "periods",
            ),
            Question(
                f"gaps of {days} days, of which there are none",
                None,
                self._gaps,
                lambda answer: answer == [],
            ),
            Question("topics that two words find", None, self._search, bool),
        ]

    def _topic(self, low: int = 0) -> str:
        self._meter = self._random.randrange(self._size.meters)
        self._metric = self._random.randrange(low, plant.METRICS)
        return self._chosen(f"{plant.name_of(self._meter)}/{plant.NAMES[self._metric]}")

    def _chosen(self, topic: str) -> str:
        self._asked = topic
        return topic

    def _path(self, page: str, start: float, end: float, **more: object) -> str:
        """The address of what was asked last."""
        times = {"start": iso(start), "end": iso(end)}
        return f"/{page}?{urlencode({'topic': self._asked, **times, **more})}"

    def _said(self, tick: int) -> float:
        return minute_values(self._meter, tick)[self._metric]

    def _newest(self) -> Any:
        return self._chronicle.newest(self._topic())

    def _is_last(self, answer: Any) -> bool:
        return _near(answer[1], self._said(self._size.minutes - 1))

    def _span(self) -> tuple[float, float]:
        self._first = self._random.randrange(self._size.minutes - 1440)
        return self._asked_span()

    def _asked_span(self) -> tuple[float, float]:
        start = self._start + 60 * self._first
        return start, start + DAY_S

    def _day(self) -> Any:
        return self._chronicle.readings(self._topic(), *self._span(), 5000)

    def _is_day(self, answer: Any) -> bool:
        return len(answer) == 1440 and all(
            at == self._start + 60 * tick and _near(value, self._said(tick))
            for tick, (at, value) in enumerate(answer, self._first)
        )

    def _day_series(self) -> Series:
        return self._chronicle.series(self._topic(), *self._span(), step_s=None, points=2000)

    def _is_day_series(self, answer: Series) -> bool:
        return answer.source == "readings" and self._is_day([(b[0], b[6]) for b in answer.buckets])

    def _end(self) -> float:
        return self._start + 60 * self._size.minutes

    def _month(self) -> Series:
        return self._chronicle.series(self._topic(), self._start, self._end(), step_s=None)

    def _is_whole(self, answer: Series, source: str) -> bool:
        return (
            answer.source == source
            and len(answer.buckets) <= 1000
            and sum(bucket.count for bucket in answer.buckets) == self._size.minutes
            and _near(answer.buckets[0].first, self._said(0))
            and _near(answer.buckets[-1].last, self._said(self._size.minutes - 1))
        )

    def _seconds(self) -> Series:
        metric = plant.NAMES[self._random.randrange(plant.METRICS)]
        end = self._start + self._size.seconds
        topic = self._chosen(f"{SECONDS}/{metric}")
        return self._chronicle.series(topic, self._start, end, step_s=None)

    def _energy(self) -> EnergyAnswer:
        return self._chronicle.energy(self._topic(85), self._start, self._end(), "day")

    def _is_energy(self, answer: EnergyAnswer) -> bool:
        total = math.fsum(period.energy or 0 for period in answer.periods)
        whole = {period.completeness for period in answer.periods} == {100.0}
        return whole and total == 3_607 * (self._size.minutes - 1)

    def _year(self) -> EnergyAnswer:
        topic = self._chosen(f"{YEAR}/wh_00")
        return self._chronicle.energy(topic, *self._year_span(), "month")

    def _year_span(self) -> tuple[float, float]:
        start = year_start().timestamp()
        return start, start + YEAR_DAYS * DAY_S

    def _is_year(self, answer: EnergyAnswer) -> bool:
        return len(answer.periods) == 12 and all(p.completeness == 100 for p in answer.periods)

    def _gaps(self) -> Any:
        meter = plant.name_of(self._random.randrange(self._size.meters))
        return self._chronicle.gaps(meter, self._start, self._end(), 100)

    def _search(self) -> Any:
        return self._chronicle.search(f"meter_{self._random.randrange(self._size.meters)} WH", 50)


def _near(value: float, said: float) -> bool:
    return math.isclose(value, said, rel_tol=1e-6, abs_tol=1e-5)
