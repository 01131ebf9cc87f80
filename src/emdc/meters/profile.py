"""What one installation of a meter gives, as the rest of the program sees it. Pure."""

from typing import Protocol

from emdc.meters.register_map import Metric, RegisterMap
from emdc.meters.words import Ratios
from emdc.reading import MeterProfile, Topic


class Installation(Protocol):
    """What is recorded of the settings of a meter."""

    @property
    def ratios(self) -> Ratios:
        """CT and PT ratio."""

    @property
    def interval_s(self) -> float | None:
        """Seconds between scheduled readings."""

    @property
    def invert(self) -> tuple[str, ...]:
        """Metrics whose sign is turned."""

    @property
    def timezone(self) -> str:
        """IANA name."""

    @property
    def max_power_kw(self) -> float | None:
        """Most that it can measure."""


def profile_of(name: str, register_map: RegisterMap, its: Installation) -> MeterProfile:
    """The topics of a meter, and what their values depend on."""
    return MeterProfile(
        name,
        tuple(_topic(metric, its.ratios) for metric in register_map.metrics if not metric.hidden),
        interval_s=its.interval_s,
        settings={
            "map": register_map.name,
            "map_hash": register_map.hash,
            "ct_ratio": its.ratios.ct,
            "pt_ratio": its.ratios.pt,
            **({"invert": ", ".join(its.invert)} if its.invert else {}),
            "timezone": its.timezone,
            **({} if its.max_power_kw is None else {"max_power": its.max_power_kw}),
        },
    )


def _topic(metric: Metric, ratios: Ratios) -> Topic:
    factor = ratios.factor(metric)
    return Topic(
        metric.name,
        unit=metric.unit,
        kind=metric.kind,
        digits=metric.digits(factor),
        description=metric.description,
        interval_s=metric.interval_s,
        modulus=metric.modulus(factor),
    )
