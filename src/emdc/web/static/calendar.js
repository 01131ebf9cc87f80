// Spans of a chart: hours, days, weeks, months and years of the meter's time zone. Days are dates
// such as 2026-03-02, which the collector takes for their midnight there; so nothing is reckoned
// here that depends on when clocks are set.

export const SPANS = ["hour", "day", "week", "month", "year"];
const HOUR_MS = 3_600_000;
const QUARTER_MS = HOUR_MS / 4;
const DATE = /^\d{4}-\d{2}-\d{2}$/;
const LONG = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeZone: "UTC" });
const TITLES = {
  day: new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeZone: "UTC" }),
  month: new Intl.DateTimeFormat("en-GB", { year: "numeric", month: "long", timeZone: "UTC" }),
  year: new Intl.DateTimeFormat("en-GB", { year: "numeric", timeZone: "UTC" }),
};

// What `span` and `at` mean `now` (a Date): `start` and `end` for requests, where `end` is null
// while the span goes on, and `until` where it will end; a title; and the `at` before and after it,
// null where there is none.
export function bounds({ span, at, zone, now }) {
  if (span === "zoom" && at.includes("/")) return zoomed(at, zone, now);
  if (span === "hour") return hour(at, zone, now);
  if (!TITLES[span] && span !== "week") return bounds({ span: "day", at: "", zone, now });
  const current = first(span, dateIn(zone, now));
  const given = DATE.test(at) && day(at) ? first(span, at) : current;
  const start = given < current ? given : current;
  const next = moved(span, start, 1);
  return {
    start,
    end: start === current ? null : next,
    until: next,
    title: title(span, start, next),
    previous: moved(span, start, -1),
    next: start === current ? null : next === current ? "" : next,
  };
}

// The day, or for an hour the instant, at which another span shows about the same.
export function anchor({ span, at, zone, now }, wanted) {
  if (!at) return "";
  const instant = span === "hour" || span === "zoom" ? new Date(at.split("/")[0]) : day(at);
  if (!instant || Number.isNaN(+instant)) return "";
  if (wanted !== "hour") return span === "hour" || span === "zoom" ? dateIn(zone, instant) : at;
  return +instant + HOUR_MS > +now ? "" : iso(instant);
}

export function dateIn(zone, instant) {
  const parts = new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" });
  return parts.format(instant);
}

export const iso = (instant) => instant.toISOString().replace(/\.\d+Z$/, "Z");

function day(text) {
  const found = new Date(`${text}T00:00:00Z`);
  return Number.isNaN(+found) || text < "1970-01-01" ? null : found;
}

const told = (date) => date.toISOString().slice(0, 10);

function first(span, text) {
  const date = day(text);
  if (span === "week") date.setUTCDate(date.getUTCDate() - ((date.getUTCDay() + 6) % 7));
  if (span === "month" || span === "year") date.setUTCDate(1);
  if (span === "year") date.setUTCMonth(0);
  return told(date);
}

function moved(span, text, count) {
  const date = day(text);
  if (span === "day" || span === "week") date.setUTCDate(date.getUTCDate() + count * (span === "week" ? 7 : 1));
  if (span === "month") date.setUTCMonth(date.getUTCMonth() + count);
  if (span === "year") date.setUTCFullYear(date.getUTCFullYear() + count);
  return told(date);
}

function title(span, start, next) {
  if (span !== "week") return TITLES[span].format(day(start));
  const last = new Date(+day(next) - 24 * HOUR_MS);
  return LONG.formatRange(day(start), last);
}

// Whole hours of UTC; without `at` the last hour, from a quarter on.
function hour(at, zone, now) {
  const given = at ? new Date(at) : null;
  const start = given && !Number.isNaN(+given) && +given + HOUR_MS <= +now ? given : null;
  const floor = (time) => new Date(Math.floor(time / HOUR_MS) * HOUR_MS);
  if (!start) {
    const previous = iso(floor(+now - HOUR_MS));
    const quarter = new Date(Math.floor((+now - HOUR_MS) / QUARTER_MS) * QUARTER_MS);
    return { start: iso(quarter), end: null, until: null, title: "Last hour", previous, next: null };
  }
  const end = new Date(+start + HOUR_MS);
  return {
    start: iso(start),
    end: iso(end),
    until: iso(end),
    title: range(start, end, zone),
    previous: iso(new Date(+start - HOUR_MS)),
    next: +end + HOUR_MS > +now ? "" : iso(end),
  };
}

function zoomed(at, zone, now) {
  const [start, end] = at.split("/").map((text) => new Date(text));
  if (!(+end > +start)) return bounds({ span: "day", at: "", zone, now });
  const shifted = (by) => [start, end].map((time) => iso(new Date(+time + by))).join("/");
  const length = end - start;
  return {
    start: iso(start),
    end: iso(end),
    until: iso(end),
    title: range(start, end, zone),
    previous: shifted(-length),
    next: +end >= +now ? null : shifted(length),
  };
}

function range(start, end, zone) {
  const options = { dateStyle: "medium", timeStyle: "short", timeZone: zone, hourCycle: "h23" };
  return new Intl.DateTimeFormat("en-GB", options).formatRange(start, end);
}
