// What a chart says in words: values under the cursor, the whole span, gaps, and doubtful bars.

import { energy, grouped, lasting, show, some, spaced } from "./format.js";
import { stretch } from "./series.js";

const QUALITIES = {
  recovered: "a share by time of what was counted while nothing was read",
  suspect: "the counter leapt or began anew",
  estimated: "from the mean power",
};
const KINDS = {
  reset: "the counter began anew",
  rollover: "the counter rolled over",
  swap: "the meter was swapped",
  ratio: "the ratio was changed",
  jump: "the counter rose faster than it can",
};
const WHOLE = 99.95; // per cent; what is above is as good as all
const ENOUGH = 99; // what is below is marked

// {short, words} of what is doubtful about an energy, null when nothing is. `short` is empty where
// a word beside the number would be too much.
export function doubt({ energy: amount, completeness, quality }) {
  const part = completeness ?? 100;
  const words = [];
  if (amount === null) words.push("nothing is known");
  if (QUALITIES[quality]) words.push(`${quality}: ${QUALITIES[quality]}`);
  if (part < WHOLE) words.push(`${Math.floor(part * 10) / 10} % of the readings`);
  if (!words.length) return null;
  const short = quality === "suspect" ? "suspect" : part < ENOUGH ? "incomplete" : "";
  return { short, words: words.join("; ") };
}

export class Words {
  constructor(facts, zone) {
    this.facts = facts;
    const format = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options });
    const date = { weekday: "short", day: "numeric", month: "short", year: "numeric" };
    this.whole = { day: format(date), month: format({ month: "long", year: "numeric" }), year: format({ year: "numeric" }) };
    this.minutes = format({ ...date, hour: "2-digit", minute: "2-digit" });
    this.moments = format({ ...date, hour: "2-digit", minute: "2-digit", second: "2-digit" });
  }

  value(value) {
    return `${show(value, this.facts)} ${this.facts.unit}`.trimEnd();
  }

  at(time) {
    return (time % 60 ? this.moments : this.minutes).format(time * 1e3);
  }

  range(start, end) {
    return this.minutes.formatRange(start * 1e3, end * 1e3);
  }

  point(point, step) {
    const clock = (step || this.facts.interval) % 60 ? this.moments : this.minutes;
    if (!step) return `${clock.format(point.start * 1e3)}: ${this.value(point.mean)}`;
    const time = clock.formatRange(point.start * 1e3, point.end * 1e3);
    if (this.facts.kind === "counter") return `${time}: ${this.value(point.last)} at its end`;
    const { mean, minimum, maximum, count } = point;
    return `${time}: ${this.spread({ least: minimum, mean, most: maximum, count })}`;
  }

  text({ time, text }) {
    return `${this.at(time)}: ${text}`;
  }

  spread({ least, mean, most, count }) {
    return `mean ${this.value(mean)}, least ${this.value(least)}, greatest ${this.value(most)}, ${some(count, "reading")}`;
  }

  summary(points) {
    const { least, most, mean, count } = stretch(points);
    if (this.facts.kind !== "counter") return `Altogether: ${this.spread({ least, most, mean, count })}`;
    return `From ${this.value(points[0].first)} to ${this.value(points.at(-1).last)}, ${some(count, "reading")}`;
  }

  bar(bar, { per, scale, unit }) {
    const time = this.whole[per]?.format(bar.start * 1e3) ?? this.range(bar.start, bar.end);
    if (bar.start * 1e3 > +this.facts.now()) return `${time}: not yet`;
    const amount = bar.energy === null ? "" : energy(bar.energy, unit, scale);
    return `${time}: ${[amount, doubt(bar)?.words].filter(Boolean).join("; ")}`;
  }

  total(bars, unit) {
    const sum = bars.reduce((all, bar) => all + (bar.energy ?? 0), 0);
    return `Altogether ${energy(sum, unit)}`;
  }

  gap(gap) {
    const ticks = gap.ticks === null ? "" : `, ${some(gap.ticks, "reading")} missing`;
    const time = `${this.at(gap.start)}, for ${lasting(gap.end - gap.start)}`;
    return `${time}: ${spaced(gap.reason)}${ticks}`;
  }

  epoch(epoch) {
    const [before, after] = [epoch.before, epoch.after].map((value) => (value === null ? "?" : grouped(String(value))));
    const note = epoch.note ? ` (${epoch.note})` : "";
    const time = this.at(Date.parse(epoch.at) / 1e3);
    return `${time}: ${KINDS[epoch.kind] ?? epoch.kind}, from ${before} to ${after} ${this.facts.unit}${note}`;
  }
}
