"""Why a plan is as it is, in words: for `emdc map plan --explain` and the health report. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from emdc.meters.learned import ZEROS, Lesson
from emdc.meters.plan import MAX_BITS, Batch, Span, names_by_span, span_of, torn_groups
from emdc.meters.reads import Limits
from emdc.meters.register_map import Metric, RegisterMap


def reasons(batches: Sequence[Batch], limits: Limits, lessons: Sequence[Lesson]) -> list[str]:
    """For each read why it begins where it does, and what holds it together."""
    said = []
    for index, batch in enumerate(batches):
        start = _start(batches[index - 1], batch, limits, lessons) if index else ""
        said.append("; ".join(part for part in (start, *_joined(batch, limits)) if part))
    return said


def torn(batches: Sequence[Batch], limits: Limits) -> list[str]:
    """A sentence for each group that these reads do not hold together."""
    return [_why_torn(name, batches, limits) for name in torn_groups(batches)]


def taught(lessons: Iterable[Lesson], register_map: RegisterMap) -> list[str]:
    """A sentence for each lesson, with when the meter is asked again."""
    names = names_by_span(register_map)
    return [
        f"{_sentence(lesson, names)}; learned {_at(lesson.learned)}, "
        f"asked again {_at(lesson.again_at) if lesson.times else 'at once'}"
        for lesson in lessons
    ]


def refused_names(lessons: Iterable[Lesson], register_map: RegisterMap) -> list[str]:
    """Metrics that are not asked in every tick, as the meter refuses them."""
    names = names_by_span(register_map)
    return [n for one in lessons if one.kind == "value" for n in names.get(one.read, ())]


def _start(before: Batch, batch: Batch, limits: Limits, lessons: Sequence[Lesson]) -> str:
    """Why this read is not one with that before it."""
    if batch.function_code != before.function_code:
        return f"another function code than {before.function_code}"
    hole = batch.address - before.span.end
    if (refused := _refused(before, batch, lessons)) is not None:
        return refused
    if hole > limits.max_gap:
        return f"{hole} unused before it, max_gap {limits.max_gap}"
    joined = span_of([*before.metrics, *_beginning(batch)])
    most = MAX_BITS if batch.function_code in (1, 2) else limits.max_registers
    learned = min((one.limit for one in lessons if one.limit is not None), default=most)
    if joined.count > learned < most:
        return f"the meter gives {learned} in one read"
    if joined.count > most:
        return f"max_registers {most}"
    return "what is refused before it or in it is not clear yet"


def _refused(before: Batch, batch: Batch, lessons: Sequence[Lesson]) -> str | None:
    """What the meter refused that one read of both would cover."""
    joined = span_of([*before.metrics, *_beginning(batch)])
    for lesson in lessons:
        if lesson.kind == "value" and joined.covers(lesson.read):
            return f"{lesson.read.address} before it is refused"
        if lesson.apart is not None and joined.covers(lesson.apart):
            return f"with what is before it the meter gives {lesson.reason}"
    return None


def _beginning(batch: Batch) -> list[Metric]:
    """The first value of a read, with its whole group."""
    first = batch.metrics[0]
    group = [m for m in batch.metrics if m.group and m.group == first.group]
    return group or [first]


def _joined(batch: Batch, limits: Limits) -> Iterator[str]:
    """What holds a read together that is not one piece."""
    holes, end = [], batch.address
    for metric in batch.metrics:
        if metric.address > end:
            holes.append(metric.address - end)
        end = max(end, metric.address + metric.size)
    within = [hole for hole in holes if hole <= limits.max_gap]
    if within:
        yield f"over {_holes(within)}, max_gap {limits.max_gap}"
    wider = [hole for hole in holes if hole > limits.max_gap]
    if wider:
        groups = sorted({metric.group for metric in batch.metrics if metric.group})
        held = f"group {', '.join(groups)}" if groups else "a value and its scale"
        yield f"over {_holes(wider)}, {held}"


def _holes(holes: Sequence[int]) -> str:
    if len(holes) == 1:
        return f"a hole of {holes[0]}"
    return f"{len(holes)} holes of up to {max(holes)}"


def _why_torn(name: str, batches: Sequence[Batch], limits: Limits) -> str:
    members = [m for batch in batches for m in batch.metrics if m.group == name]
    codes = sorted({metric.function_code for metric in members})
    span = span_of(members)
    most = MAX_BITS if span.function_code in (1, 2) else limits.max_registers
    if len(codes) > 1:
        why = f"it has function codes {', '.join(map(str, codes))}"
    elif span.count > most:
        why = f"it spans {span.count} from {span.address}, one read gives {most}"
    else:
        why = "the meter refuses it in one"
    return f"group {name} is not in one read: {why}"


def _sentence(lesson: Lesson, names: Mapping[Span, Sequence[str]]) -> str:
    how = "zeros where its parts have values" if lesson.reason == ZEROS else lesson.reason
    times = "" if lesson.times <= 1 else f" {lesson.times} times"
    if lesson.kind == "value":
        named = ", ".join(names.get(lesson.read, ())) or "no metric of this map"
        return f"{named}: a read of {lesson.read} gave {how}{times}"
    if lesson.kind == "length":
        return f"at most {lesson.limit} in one read: a read of {lesson.read} gave {how}{times}"
    cut = lesson.apart or lesson.read
    where = "" if cut == lesson.read else f", read apart between {cut.address} and {cut.end - 1}"
    return f"a read of {lesson.read} gave {how}{times}{where}"


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
