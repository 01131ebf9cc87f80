"""What one installation of a meter gives, as the rest of the program sees it. Pure."""

from emdc.meters.register_map import Metric, RegisterMap
from emdc.meters.words import Ratios
from emdc.reading import MeterProfile, Topic


def profile_of(
    name: str,
    register_map: RegisterMap,
    ratios: Ratios,
    interval_s: float | None,
    invert: tuple[str, ...],
) -> MeterProfile:
    """The topics of a meter, and what their values depend on."""
    return MeterProfile(
        name,
        tuple(_topic(metric, ratios) for metric in register_map.metrics if not metric.hidden),
        interval_s=interval_s,
        settings={
            "map": register_map.name,
            "map_hash": register_map.hash,
            "ct_ratio": ratios.ct,
            "pt_ratio": ratios.pt,
            **({"invert": ", ".join(invert)} if invert else {}),
        },
    )


def _topic(metric: Metric, ratios: Ratios) -> Topic:
    return Topic(
        metric.name,
        unit=metric.unit,
        kind=metric.kind,
        digits=metric.digits(ratios.factor(metric)),
        description=metric.description,
        interval_s=metric.interval_s,
    )
