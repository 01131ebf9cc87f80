"""One meter of the configuration as it is opened: its settings in the words of links and meters."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import msgspec

from emdc.config import MeterSettings
from emdc.config.table import RTU_OVER_TCP
from emdc.meters import meter as meters
from emdc.meters.register_map import RegisterMap
from emdc.meters.words import Ratios
from emdc.modbus.links import Links
from emdc.modbus.settings import Line, LinkSettings

log = logging.getLogger(__name__)

LONGEST_PAUSE_S: Final = 30.0
"""Between two attempts to reach a meter, unless a setting says otherwise."""


def with_pauses(described: Sequence[MeterSettings]) -> list[MeterSettings]:
    """The meters with the longest pause of each; those that share a connection, and do not set it,
    with that of the one among them that is read most often.
    """
    shortest: dict[str, float] = {}
    for meter in described:
        if meter.backoff_max is None:
            pause_s = _longest_pause_s(meter)
            shortest[meter.place] = min(pause_s, shortest.get(meter.place, pause_s))
    return [
        msgspec.structs.replace(meter, backoff_max=meter.backoff_max or shortest[meter.place])
        for meter in described
    ]


def open_meter(
    settings: MeterSettings,
    register_map: RegisterMap,
    links: Links,
    *,
    clock: Callable[[], datetime],
    zone: str,
) -> meters.Meter:
    """The meter on its link. Raises ConfigError when the settings do not fit the map.

    `zone` is that of a meter whose settings name none. With a map that has no metrics yet it is a
    meter that nothing can be read of.
    """
    its = _meter_settings(settings, zone)
    if not register_map.metrics:
        its = replace(its, invert=(), identity="")
    else:
        _check_ratios(settings, register_map)
    link = links.link(settings.host, settings.port, _link_settings(settings))
    return meters.Meter(settings.name, register_map, link, its, clock=clock)


def _check_ratios(settings: MeterSettings, register_map: RegisterMap) -> None:
    """Warn of a ratio that changes nothing: the map's values are primary ones."""
    for ratio, value in (("ct", settings.ct_ratio), ("pt", settings.pt_ratio)):
        if value != 1 and not any(ratio in metric.ratio for metric in register_map.metrics):
            facts = {"meter": settings.name, "setting": f"{ratio}_ratio", "value": value}
            log.warning("no value of the map goes by this ratio", extra=facts)


def _link_settings(settings: MeterSettings) -> LinkSettings:
    return LinkSettings(
        connect_timeout_s=settings.connect_timeout,
        connect_delay_s=settings.connect_delay,
        request_delay_s=settings.request_delay,
        backoff_max_s=_longest_pause_s(settings),
        pipeline=settings.pipeline,
        ignore_transaction_id=settings.ignore_transaction_id,
        rtu=settings.transport == RTU_OVER_TCP,
        line=Line(settings.baudrate, settings.parity, settings.stop_bits),
    )


def _longest_pause_s(settings: MeterSettings) -> float:
    """Seconds between two attempts: a meter that is back shall not miss more than two ticks."""
    if settings.backoff_max is not None:
        return settings.backoff_max
    if settings.interval is None:
        return LONGEST_PAUSE_S
    return min(LONGEST_PAUSE_S, max(1.0, 2 * settings.interval))


def _meter_settings(settings: MeterSettings, zone: str) -> meters.MeterSettings:
    return meters.MeterSettings(
        unit=settings.unit,
        interval_s=settings.interval,
        timeout_s=settings.timeout,
        retries=settings.retries,
        retry_wait_s=settings.retry_wait,
        ratios=Ratios(settings.ct_ratio, settings.pt_ratio),
        max_registers=settings.max_registers,
        max_gap=settings.max_gap,
        identity=(settings.identity or "").strip(),
        timezone=settings.timezone or zone,
        max_power_kw=settings.max_power,
        invert=tuple(name.strip() for name in (settings.invert or "").split(",") if name.strip()),
    )
