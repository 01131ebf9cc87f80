// The first page: asks /state at the meters' interval and changes only the texts that changed.
// Everything that came from outside is put in by textContent, never as markup.

import { addPoint, draw, sparkline } from "./sparkline.js";

const ANSWER_WITHIN_MS = 10_000;
const LINES_EVERY_MS = 60_000;
const WORDS = { ok: "ok", late: "late", down: "down", never: "not read yet" };
const FAILURES = { TypeError: "no connection", TimeoutError: "no answer in 10 s" };
const ORDER = ["down", "late", "never", "ok"];

const place = (id) => document.getElementById(id);
const cards = new Map(); // meter name → its card
let newest = null; // the last answer of /state
let answered = null; // when it came, a Date
let timer = 0;

// Texts

// A counter has all its digits, as on the meter's display, and so has a whole number; of others
// five are enough to see.
function show(value, metric) {
  if (metric.whole) return grouped(String(value));
  if (typeof value !== "number") return value;
  if (metric.kind === "counter") return grouped(String(value));
  const size = Math.abs(value);
  if (size >= 1e15 || (size > 0 && size < 1e-3)) return grouped(value.toExponential(3));
  const digits = size >= 1 ? Math.floor(Math.log10(size)) : 0;
  return grouped(value.toFixed(Math.max(0, 4 - digits)));
}

function grouped(text) {
  if (text.includes("e")) return text.replaceAll("-", "\u2212");
  const [head, tail] = text.split(".");
  const whole = head.replace(/\B(?=(\d{3})+$)/g, "\u202f").replace("-", "\u2212");
  return tail === undefined ? whole : `${whole}.${tail}`;
}

function since(seconds) {
  if (seconds === null) return "never";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

const spaced = (reason) => reason.replaceAll("_", " ").replace(":", ": ");
const clock = (date) => date.toLocaleTimeString([], { hour12: false });

function element(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// One meter

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
    list: element("ul", "metrics"),
    rows: new Map(),
  };
  head.append(title, card.state, card.age, card.every);
  root.append(head, card.trouble, card.list);
  return card;
}

function showCard(meter, values, now) {
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
  for (const metric of values) showMetric(card, metric, meter, now);
}

function showState(node, state) {
  put(node, WORDS[state]);
  node.dataset.state = state;
}

// Long names break after an underscore, so that their ends, which tell them apart, stay in sight.
function breakable(node, name) {
  for (const part of name.split(/(?<=_)/)) node.append(part, document.createElement("wbr"));
  return node;
}

function makeRow(metric) {
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
  row.root.append(row.name, row.spark, row.reason, row.value, row.unit);
  return row;
}

function showMetric(card, metric, meter, now) {
  let row = card.rows.get(metric.metric);
  if (!row) {
    row = makeRow(metric);
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
    addPoint(row.points, Date.parse(metric.read_at) / 1000, Number(metric.value), apart(metric));
    draw(row.spark, row.points, (value) => `${show(value, metric)} ${metric.unit}`);
  }
}

// Seconds between two values that are more than three intervals, and more than the page may have
// missed because it looks less often.
function apart(metric) {
  return metric.interval === null ? Infinity : 3.5 * Math.max(metric.interval, newest.refresh_s);
}

// The whole page

function showAll() {
  const { health, values } = newest;
  const now = Date.parse(newest.now);
  const meters = new Map(health.meters.map((meter) => [meter.name, meter]));
  for (const [name, card] of cards) {
    if (name in values) continue;
    card.root.remove();
    cards.delete(name);
  }
  for (const [name, metrics] of Object.entries(values)) showCard(meters.get(name), metrics, now);
  showList(health.meters, Object.keys(values));
  const counts = ORDER.filter((state) => health.totals[state])
    .reverse()
    .map((state) => `${health.totals[state]} ${WORDS[state]}`);
  put(place("summary"), `${health.version} \u00b7 ${health.meters.length} ${health.meters.length === 1 ? "meter" : "meters"}: ${counts.join(", ")}`);
  put(place("updated"), `updated ${clock(answered)}`);
}

function showList(meters, shown) {
  const list = place("list");
  list.hidden = meters.length === shown.length;
  if (list.hidden) return;
  const wanted = place("filter").value.toLowerCase();
  const found = meters
    .filter((meter) => meter.name.toLowerCase().includes(wanted))
    .sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state) || (a.name < b.name ? -1 : 1));
  const rows = place("rows");
  while (rows.children.length > found.length) rows.lastChild.remove();
  found.forEach((meter, index) => showListed(rows.children[index] ?? addListed(rows), meter, shown));
}

function addListed(rows) {
  const link = element("a");
  link.append(element("span", "name"), element("span", "state"), element("span", "age"));
  const row = element("li");
  row.append(link);
  rows.append(row);
  return row;
}

function showListed(row, meter, shown) {
  const [name, state, age] = row.firstChild.children;
  put(name, meter.name);
  showState(state, meter.state);
  put(age, since(meter.age_s));
  const address = `#${encodeURIComponent(meter.name)}`;
  if (row.firstChild.getAttribute("href") !== address) row.firstChild.setAttribute("href", address);
  row.firstChild.toggleAttribute("aria-current", shown.includes(meter.name));
}

function showBanners(failure) {
  const wanted = [];
  if (failure) {
    const time = answered ? `since ${clock(answered)}` : "yet";
    const old = answered ? "; the values below are from then" : "";
    wanted.push(["bad", `The collector has not answered ${time} (${failure})${old}. Trying again.`]);
  } else {
    const kind = newest.health.ok ? "warn" : "bad";
    for (const problem of newest.health.problems) {
      wanted.push([kind, problem[0].toUpperCase() + problem.slice(1) + "."]);
    }
  }
  const banners = place("banners");
  while (banners.children.length > wanted.length) banners.lastChild.remove();
  wanted.forEach(([kind, text], index) => {
    const banner = banners.children[index] ?? banners.appendChild(element("p"));
    banner.className = `banner ${kind}`;
    put(banner, text);
  });
  document.body.classList.toggle("stale", Boolean(failure));
}

// Asking

async function ask(address) {
  const answer = await fetch(address, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  if (answer.ok) return answer.json();
  const failed = new Error(answer.status === 401 ? "it asks for a token" : `status ${answer.status}`);
  failed.status = answer.status;
  throw failed;
}

function chosen() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

async function refresh() {
  clearTimeout(timer);
  const meter = chosen();
  let failure = "";
  try {
    newest = await ask(meter ? `state?meter=${encodeURIComponent(meter)}` : "state");
    answered = new Date();
    showAll();
  } catch (error) {
    if (error.status === 404 && meter) location.hash = "";
    failure = FAILURES[error.name] ?? error.message;
  }
  showBanners(failure);
  if (!document.hidden) timer = setTimeout(refresh, (newest?.refresh_s ?? 2) * 1000);
}

async function loadLines() {
  for (const [name, card] of document.hidden ? [] : cards) {
    try {
      const { points } = await ask(`sparklines?meter=${encodeURIComponent(name)}`);
      for (const [metric, row] of card.rows) {
        if (points[metric]?.length) row.points = points[metric];
      }
    } catch {
      break; // the banner of the next refresh says what is wrong
    }
  }
}

place("filter").addEventListener("input", () => newest && showAll());
window.addEventListener("hashchange", () => refresh().then(loadLines));
document.addEventListener("visibilitychange", () => document.hidden || refresh().then(loadLines));
await refresh();
await loadLines();
if (newest) showAll();
setInterval(loadLines, LINES_EVERY_MS);
