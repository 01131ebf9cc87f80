// Answers of /history, /energy and /gaps as what a chart draws. Times are seconds since 1970.

const seconds = (text) => Date.parse(text) / 1000;

// [start, end, reason] of each gap that reaches into the span, oldest first.
export function gapsOf(answer) {
  return answer.gaps.map((gap) => ({
    start: seconds(gap.start),
    end: seconds(gap.end),
    ticks: gap.ticks,
    reason: gap.reason,
  }));
}

// Columns to draw: times, least, greatest and the line between them; where the line breaks, a time
// without values. `points` has what was read at each time, null at a break; `alone` the places of
// points that no line reaches.
export function linesOf(answer, gaps, { interval, kind }) {
  const step = answer.step_s;
  const apart = step ? Math.max(1.5 * step, step + 1.5 * (interval ?? 0)) : 3.5 * (interval ?? Infinity);
  const columns = [[], [], [], []];
  const points = [];
  const add = (time, point) => {
    points.push(point);
    const values = point ? [point.minimum, point.maximum, kind === "counter" ? point.last : point.mean] : [null, null, null];
    [time, ...values].forEach((value, column) => columns[column].push(value));
  };
  const missing = between(gaps);
  let before = null;
  for (const [text, count, minimum, maximum, mean, first, last] of answer.rows) {
    const start = seconds(text);
    const point = { start, end: start + step, count, minimum, maximum, mean, first, last };
    if (before && (start - before.start > apart || missing(before.end, start))) add((before.end + start) / 2, null);
    add(start + step / 2, point);
    before = point;
  }
  const alone = points.flatMap((point, at) => (point && !points[at - 1] && !points[at + 1] ? [at] : []));
  return { columns, points, alone };
}

// Whether a whole gap lies between two times; to be asked in their order.
function between(gaps) {
  let next = 0;
  return (from, to) => {
    while (next < gaps.length && gaps[next].start < from) next += 1;
    return next < gaps.length && gaps[next].end <= to;
  };
}

export function barsOf(answer) {
  return answer.periods.map((period) => ({
    ...period,
    start: seconds(period.start),
    end: seconds(period.end),
  }));
}

export function stretch(points) {
  let [least, most, sum, count] = [Infinity, -Infinity, 0, 0];
  for (const point of points) {
    if (!point) continue;
    least = Math.min(least, point.minimum);
    most = Math.max(most, point.maximum);
    sum += point.mean * point.count;
    count += point.count;
  }
  return { least, most, mean: sum / count, count };
}
