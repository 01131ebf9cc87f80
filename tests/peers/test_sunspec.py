"""The same SunSpec device read by us and by the client of pysunspec2: all values are the same."""

import asyncio
import random
import struct
from datetime import UTC, datetime
from typing import Any

import pytest

from emdc.meters import sunspec_models
from emdc.meters.discovery import discover, reader
from emdc.meters.meter import Meter, MeterSettings
from emdc.meters.reads import want
from emdc.meters.sunspec import Layout
from emdc.modbus import LinkSettings
from emdc.reading import Value
from emdc.synthetic import sunspec as simulated
from emdc.synthetic.simulator import simulate
from tests import sunspec_device
from tests.modbus.asking import links
from tests.sunspec_device import LENGTHS, Block, Device, common, device, facts

MEASURED = [model for model in LENGTHS if model != 1]
_FORMS = {"INT16": ">h", "UINT16": ">H", "UINT32": ">I", "FLOAT32": ">f"}
SHARES = (211, 212, 213, 214)
"""Models whose power factor is a share; that of the others is percent, and we give the share."""


def filled(model: int, seed: int) -> Block:
    """A block with a random number, or none, in every point that the facts name."""
    chance = random.Random(seed)
    block = sunspec_device.blank(model)
    floats = LENGTHS[model] in (60, 124)
    if floats:
        block.put(2, *sunspec_device.floats(*[float("nan")] * (len(block.body) // 2)))
    for fact in facts(model):
        if chance.random() < 0.2:
            block.put(fact.offset, *_none(fact.type))
            continue
        number = chance.uniform(1, 100)
        if fact.metric.startswith("pf"):
            number = 0.99 if model in SHARES else 99
        raw = number if floats else int(number)
        block.put(fact.offset, *sunspec_device.words(struct.pack(_FORMS[fact.type], raw)))
    for offset in {int(f.scale.split("@+")[1][:-1]) for f in facts(model) if "@+" in f.scale}:
        names = {f.metric for f in facts(model) if f"@+{offset}]" in f.scale}
        # Both have limits that are narrower than what their registers hold.
        block.put(offset, 0 if names & {"pf", "freq"} else chance.randint(-4, 3))
    return block


def _none(data_type: str) -> list[int]:
    """What a point holds that is not implemented."""
    return {
        "INT16": [0x8000], "UINT16": [0xFFFF], "UINT32": [0, 0], "FLOAT32": [0x7FC0, 0],
    }[data_type]  # fmt: skip


async def ours(port: int) -> tuple[Layout, dict[str, Value], dict[str, str]]:
    """The layout, the values by metric, and the point of each metric as `203.W`."""
    with links() as opened:
        link = opened.link("127.0.0.1", port, LinkSettings())
        layout = await discover(reader(link, 1, 3))
        found = sunspec_models.map_of(layout)
        meter = Meter("m", found, link, MeterSettings(), clock=lambda: datetime.now(UTC))
        reading = await meter.read(want(topic.name for topic in meter.profile.topics))
    points = {}
    for metric in found.metrics:
        words = metric.description.replace(":", "").split()
        if not metric.hidden:
            points[metric.name] = f"{words[4]}.{words[1]}"
    return layout, dict(zip(reading.metrics, reading.values, strict=True)), points


def theirs(port: int) -> tuple[list[tuple[int, int, int]], dict[str, list[Any]]]:
    """(model, address, length) of each block, and the values by point of each block in turn."""
    client = pytest.importorskip("sunspec2.modbus.client")
    found = client.SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port)
    found.scan()
    blocks: list[tuple[int, int, int]] = []
    values: dict[str, list[Any]] = {}
    for model in found.model_list:
        blocks.append((model.model_id, model.model_addr, model.model_len))
        for name, point in model.points.items():
            values.setdefault(f"{model.model_id}.{name}", []).append(point.cvalue)
    found.close()
    return blocks, values


async def _both(subject: Device) -> tuple[Any, Any]:
    async with sunspec_device.serving(subject) as server:
        return await ours(server.port), await asyncio.to_thread(theirs, server.port)


def compare(subject: Device) -> int:
    """Assert that both say the same; gives how many numbers that were."""
    (layout, values, points), (blocks, others) = asyncio.run(_both(subject))
    assert [tuple(block) for block in layout.blocks if block.model in LENGTHS] == [
        block for block in blocks if block[0] in LENGTHS
    ]
    compared = 0
    seen: dict[str, int] = {}
    for name, point in points.items():
        turn = seen[point] = seen.get(point, -1) + 1
        other = others[point][turn]
        value = values[name]
        if isinstance(value, int | float):
            percent = name.startswith("pf") and int(point.split(".")[0]) not in SHARES
            assert value * (100 if percent else 1) == pytest.approx(other, rel=1e-12), name
            compared += 1
        else:
            # An empty text is none here.
            assert value == (other or None), name
    return compared


@pytest.mark.parametrize("model", MEASURED)
def test_each_model_says_the_same_to_both(model: int) -> None:
    subject = device(common(), filled(model, seed=model))
    assert compare(subject) >= len(facts(model)) // 2


@pytest.mark.parametrize(("base", "length"), [(40000, 65), (0, 66), (50000, 65)])
def test_a_chain_of_all_models_is_the_same_to_both(base: int, length: int) -> None:
    blocks = [filled(model, seed=base + model) for model in (*MEASURED, 203, 203)]
    vendor = Block(64111, [7] * 9)
    assert compare(device(common(length), vendor, *blocks, base=base)) > 200


def test_the_simulated_device_is_one_to_both() -> None:
    async def both() -> tuple[Any, Any]:
        server = await simulate(simulated.device(sunspec_models.points()), "127.0.0.1", 0)
        try:
            return await ours(server.port), await asyncio.to_thread(theirs, server.port)
        finally:
            server.close()
            await server.wait_closed()

    (layout, values, _), (blocks, others) = asyncio.run(both())
    assert (
        blocks == [tuple(block) for block in layout.blocks] == [(1, 40002, 66), (203, 40070, 105)]
    )
    # Its values move between the two reads.
    assert values["Voltage_AN"] == pytest.approx(others["203.PhVphA"][0], rel=0.1)
    assert values["Wh_delivered"] == pytest.approx(others["203.TotWhImp"][0], rel=0.1)
    assert 45 < float(values["freq"] or 0) < 65
    # An accumulator at 0 is none: a load sends nothing back, and is in one quadrant.
    missing = {name[:6] for name, value in values.items() if value is None}
    assert missing <= {"Wh_rec", "VAh_re", "VARh_Q"}
    assert others["203.Evt"] == [None]
