// Asks the collector what a chart shows, and for the address of the same as CSV.

import { ask } from "./ask.js";
import { barsOf, gapsOf, linesOf } from "./series.js";

const PATIENCE_MS = 60_000; // a year of an old database may take a while
const PER = { hour: "15min", day: "hour", week: "day", month: "day", year: "month" };
const MOST_BARS = 60; // of a span of its own
const LENGTHS = [["15min", 900], ["hour", 3600], ["day", 86_400], ["month", 2_629_746], ["year", Infinity]];
const POINTS = 1500; // a day of minutes, a month of half hours

const address = (path, given) => {
  const known = Object.entries(given).filter(([, value]) => value !== null && value !== undefined);
  return `${path}?${new URLSearchParams(known)}`;
};

// What is known of a metric: topic, unit, kind, interval, description, zone, and the collector's
// clock, which goes on with `now()`.
export async function factsOf(meter, metric, signal) {
  const topic = `${meter}/${metric}`;
  const recent = ask(address("history", { topic, start: "-1h", points: 1 }), { patience_ms: PATIENCE_MS, signal });
  const [row, { zone, unit, end }] = await Promise.all([topicRow(meter, topic, signal), recent]);
  const [began, clock] = [performance.now(), Date.parse(end)];
  return {
    topic,
    zone,
    unit,
    kind: row?.kind ?? "gauge",
    interval: row?.interval ?? null,
    description: row?.description ?? "",
    whole: false,
    now: () => new Date(clock + performance.now() - began),
  };
}

// A meter of earlier times is not configured, but found.
async function topicRow(meter, topic, signal) {
  for (const query of [{ meter }, { search: topic }]) {
    try {
      const { topics } = await ask(address("topics", query), { patience_ms: PATIENCE_MS, signal });
      const found = topics.find((row) => row.topic === topic);
      if (found) return found;
    } catch (error) {
      if (error.status !== 404) throw error;
    }
  }
  return null;
}

// What Picture draws, and what is said beside it. `wanted`: what calendar.bounds gave, the name
// of the span, and the kind of picture. All of a span is drawn, though it may go on: with as wide an
// axis a day is seen beside another one.
export const load = (facts, wanted, signal) => LOADS[wanted.kind](facts, wanted, signal);

const LOADS = { values: loadLine, energy: loadBars, texts: loadTexts };

async function loadLine(facts, span, signal) {
  const asked = { topic: facts.topic, start: span.start, end: span.end };
  const whole = { ...asked, end: span.until, points: POINTS };
  const [answer, beside] = await both(address("history", whole), facts, asked, signal);
  const { start, end, step_s: step, source } = answer;
  const drawn = linesOf(answer, beside.gaps, facts);
  return {
    kind: "values",
    empty: !drawn.points.length,
    unit: answer.unit,
    ...drawn,
    ...beside,
    from: Date.parse(start) / 1e3,
    to: Date.parse(end) / 1e3,
    step,
    source,
    csv: address("history", { topic: facts.topic, start, end, step, format: "csv" }),
  };
}

async function loadBars(facts, span, signal) {
  const per = PER[span.name] ?? fitting(span);
  const asked = { topic: facts.topic, start: span.start, end: span.end };
  const [answer, beside] = await both(address("energy", { ...asked, end: span.until, per }), facts, asked, signal);
  const bars = barsOf(answer);
  const begun = answer.periods.filter(({ start }) => Date.parse(start) < +facts.now());
  return {
    kind: "energy",
    empty: bars.every((bar) => bar.energy === null),
    ...beside,
    from: bars[0].start,
    to: bars.at(-1).end,
    bars,
    unit: answer.unit,
    per,
    csv: address("energy", { topic: facts.topic, start: begun[0].start, end: begun.at(-1).end, per, format: "csv" }),
  };
}

// Only where a text changed.
async function loadTexts(facts, span, signal) {
  const asked = { topic: facts.topic, start: span.start, end: span.end };
  const answer = await ask(address("history", asked), { patience_ms: PATIENCE_MS, signal });
  const changes = answer.rows.filter(([, text], at) => !at || text !== answer.rows[at - 1][1]);
  const { start, end } = answer;
  return {
    kind: "texts",
    empty: !changes.length,
    texts: changes.map(([time, text]) => ({ time: Date.parse(time) / 1e3, text })),
    more: answer.next !== null,
    csv: address("history", { topic: facts.topic, start, end, step: 0, format: "csv" }),
  };
}

async function both(first, facts, asked, signal) {
  const options = { patience_ms: PATIENCE_MS, signal };
  const epochs = facts.kind === "counter" ? ask(address("epochs", { topic: facts.topic }), options) : { epochs: [] };
  const [answer, gaps, found] = await Promise.all([ask(first, options), ask(address("gaps", asked), options), epochs]);
  const within = ({ at }) => at >= gaps.start && at < gaps.end;
  return [answer, { gaps: gapsOf(gaps), more: gaps.more, epochs: found.epochs.filter(within) }];
}

function fitting({ start, end }) {
  const seconds = (Date.parse(end) - Date.parse(start)) / 1e3;
  return LENGTHS.find(([, length]) => seconds / length <= MOST_BARS)[0];
}
