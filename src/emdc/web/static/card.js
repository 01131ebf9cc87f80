// One meter's card: its state, the energy of its main counters, and a row for each metric.

import { written } from "./address.js";
import { breakable, element, place, put } from "./dom.js";
import { clock, show, since, spaced } from "./format.js";
import { addPoint, draw, sparkline } from "./sparkline.js";

export const WORDS = { ok: "ok", late: "late", down: "down", never: "not read yet" };
export const cards = new Map(); // meter name → its card

function makeCard(meter) {
  const root = element("section", "meter");
  const head = element("header");
  const title = element("h2");
  const cut = meter.name.lastIndexOf("/") + 1;
  title.append(element("span", "prefix", meter.name.slice(0, cut)), meter.name.slice(cut));
  const card = {
    root,
    state: element("span", "state"),
    age: element("span", "age"),
    every: element("span", "every"),
    trouble: element("p", "trouble"),
    energy: element("ul", "energy"),
    list: element("ul", "metrics"),
    rows: new Map(),
  };
  head.append(title, card.state, card.age, card.every);
  root.append(head, card.trouble, card.energy, card.list);
  return card;
}

// `refresh_s`: how often the page looks.
export function showCard(meter, values, now, refresh_s) {
  let card = cards.get(meter.name);
  if (!card) {
    card = makeCard(meter);
    cards.set(meter.name, card);
    place("meters").append(card.root);
  }
  showState(card.state, meter.state);
  card.state.title = meter.learned.join("\n");
  put(card.age, since(meter.age_s));
  put(card.every, meter.interval_s === null ? "read when asked" : `every ${meter.interval_s} s`);
  const trouble = meter.state !== "ok" && meter.last_error;
  card.trouble.hidden = !trouble;
  if (trouble) {
    const times = meter.failures > 1 ? `, ${meter.failures} times in a row` : "";
    put(card.trouble, `${spaced(meter.last_error)} at ${clock(new Date(meter.last_error_at))}${times}`);
  }
  for (const metric of values) showMetric(card, metric, meter, { now, refresh_s });
}

export function showState(node, state) {
  put(node, WORDS[state]);
  node.dataset.state = state;
}

function makeRow(meter, metric) {
  const row = {
    root: element("li"),
    name: breakable(element("span", "name"), metric.metric),
    spark: sparkline(),
    reason: element("span", "reason"),
    value: element("span", "value"),
    unit: element("span", "unit", metric.unit),
    points: [],
  };
  row.name.title = metric.description || metric.metric;
  const link = element("a", "row");
  link.href = written({ meter: meter.name, metric: metric.metric });
  link.append(row.name, row.spark, row.reason, row.value, row.unit);
  row.root.append(link);
  return row;
}

function showMetric(card, metric, meter, { now, refresh_s }) {
  let row = card.rows.get(metric.metric);
  if (!row) {
    row = makeRow(meter, metric);
    card.rows.set(metric.metric, row);
    card.list.append(row.root);
  }
  const known = metric.value !== null;
  const reason = metric.missing || (known ? "" : "not read yet");
  row.root.classList.toggle("missing", Boolean(reason));
  row.root.classList.toggle("unknown", !known);
  row.root.classList.toggle("text", typeof metric.value === "string" && !metric.whole);
  put(row.value, known ? show(metric.value, metric) : "\u2014");
  const age = known ? `, ${since((now - Date.parse(metric.read_at)) / 1000)}` : "";
  row.value.title = known ? `${metric.value} ${metric.unit}${age}` : reason;
  // When the whole meter is silent, the line above its values says why.
  put(row.reason, meter.state === "down" ? "" : spaced(reason));
  row.reason.title = spaced(reason);
  row.reason.hidden = !reason;
  row.spark.toggleAttribute("hidden", Boolean(reason));
  if (known && !metric.missing && (typeof metric.value === "number" || metric.whole)) {
    addPoint(row.points, Date.parse(metric.read_at) / 1000, Number(metric.value), apart(metric, refresh_s));
    draw(row.spark, row.points, (value) => `${show(value, metric)} ${metric.unit}`);
  }
}

// Seconds between two values that are more than three intervals, and more than the page may have
// missed because it looks less often.
function apart(metric, refresh_s) {
  return metric.interval === null ? Infinity : 3.5 * Math.max(metric.interval, refresh_s);
}
