// What stands in the chart's dialog below its buttons: the drawing and everything said about it.

import { noted } from "./dialog.js";
import { put } from "./dom.js";
import { energyScale, lasting } from "./format.js";
import { Words, doubt } from "./readout.js";

const MOST_NOTES = 20;
const SOURCES = { readings: "readings", details: "half minutes", intervals: "quarter hours" };
const PACE_S = { least: 5, bars: 30, most: 60 }; // between two looks at a span that goes on

export class Picture {
  pace = null; // seconds until it should be drawn anew; null: nothing will change
  #parts;
  #zoom;
  #plot = null;
  #view = null;
  #words = null;

  constructor(parts, zoom) {
    this.#parts = parts;
    this.#zoom = zoom;
  }

  say(text, kind = "") {
    const { notice, root } = this.#parts;
    notice.hidden = !text;
    notice.className = `notice ${kind}`.trimEnd();
    root.classList.toggle("waiting", kind === "busy" && this.#view !== null);
    put(notice, text);
  }

  clear() {
    const { readout, plot, notes, source, csv } = this.#parts;
    this.#view = null;
    this.#plot?.clear();
    plot.hidden = true;
    for (const node of [readout, source]) put(node, "");
    readout.hidden = true;
    notes.replaceChildren();
    csv.hidden = true;
    this.say("");
  }

  step(by) {
    if (this.#view?.empty === false) this.#plot?.step(by);
  }

  // `view`: what past.load gave; `dropped()`: whether it is not wanted any more.
  async draw(facts, view, dropped) {
    const drawn = view.kind === "energy" ? scaled(view) : view;
    const { plot, csv, notes, source } = this.#parts;
    const Plot = drawn.empty || drawn.kind === "texts" ? null : await drawing();
    if (dropped()) return;
    this.#words = new Words(facts, facts.zone);
    this.#view = drawn;
    plot.hidden = !Plot;
    if (Plot) {
      this.#plot ??= new Plot(plot, { onCursor: (time) => this.#read(time), onSelect: this.#zoom });
      const reach = this.#words.range(drawn.from, drawn.to);
      plot.setAttribute("aria-label", `Chart of ${facts.topic}, ${reach}; arrow keys go from point to point`);
      this.#plot.draw({ ...drawn, zone: facts.zone, unit: drawn.scale?.unit ?? drawn.unit });
    } else this.#plot?.clear();
    csv.hidden = false;
    csv.href = view.csv;
    this.say(drawn.empty ? empty(drawn) : "");
    if (!Plot || !this.#plot.hovered) this.#read(null);
    notes.replaceChildren(...this.#notes());
    put(source, `${this.#made()}Times of ${facts.zone}.`);
    this.pace = view.live ? pace(view, facts) : null;
  }

  #made() {
    const { kind, step, source, unit, scale, bars } = this.#view;
    if (kind === "texts") return "";
    if (kind === "energy") return `${scale.unit && `In ${scale.unit}. `}${bars.some(isEstimated) ? "Estimated from the mean power. " : ""}`;
    const each = step ? `each point ${lasting(step)}` : "each point one reading";
    return `${unit ? `In ${unit}, ` : ""}made of ${SOURCES[source]}, ${each}. `;
  }

  #notes() {
    const { kind, gaps = [], epochs = [], more, bars = [], texts = [], unit } = this.#view;
    const words = this.#words;
    const doubtful = bars.filter((bar) => bar.energy !== null && doubt(bar) && (bar.doubt || !isEstimated(bar)));
    return [
      ...noted("Texts, where they changed", texts.map((text) => words.text(text)), MOST_NOTES, kind === "texts" && more),
      ...noted("Gaps", gaps.map((gap) => words.gap(gap)), MOST_NOTES, kind !== "texts" && more),
      ...noted("The counter", epochs.map((epoch) => words.epoch(epoch)), MOST_NOTES),
      ...noted("Not sure", doubtful.map((bar) => words.bar(bar, this.#view)), MOST_NOTES),
    ];
  }

  #read(time) {
    const { readout } = this.#parts;
    put(readout, this.#said(time));
    readout.hidden = this.#view.empty || this.#view.kind === "texts";
  }

  #said(time) {
    const { kind, bars, points, gaps, step, unit, empty: nothing } = this.#view;
    const words = this.#words;
    if (nothing || kind === "texts") return "";
    if (time === null) return bars ? words.total(bars, unit) : words.summary(points);
    const gap = gaps.find(({ start, end }) => start <= time && time < end);
    const missing = gap ? `Gap: ${words.gap(gap)}` : "";
    if (bars) {
      const bar = bars.find(({ start, end }) => start <= time && time < end);
      return [bar && words.bar(bar, this.#view), missing].filter(Boolean).join(". ");
    }
    const point = nearest(points, time, step);
    if (gap && !(point && point.start <= time && time < point.end)) return missing;
    return [point && words.point(point, step), missing].filter(Boolean).join(". ");
  }
}

// The library is loaded with the first chart that needs it.
const drawing = () =>
  import("./plot.js").then(
    ({ Plot }) => Plot,
    () => {
      throw new Error("its drawing part did not come");
    },
  );

function pace({ kind, step }, { interval }) {
  const wanted = kind === "energy" ? PACE_S.bars : step || interval || 0;
  return Math.min(Math.max(wanted, PACE_S.least), PACE_S.most);
}

function scaled(view) {
  const most = Math.max(0, ...view.bars.map((bar) => Math.abs(bar.energy ?? 0)));
  const scale = energyScale(most, view.unit);
  const value = (bar) => (bar.energy === null ? null : bar.energy / scale.size);
  return { ...view, scale, bars: view.bars.map((bar) => ({ ...bar, value: value(bar), doubt: doubt(bar)?.short ?? "" })) };
}

const isEstimated = (bar) => bar.quality === "estimated";

function empty({ kind, gaps = [] }) {
  const why = gaps.length ? "; the gaps below say why" : "";
  return kind === "energy" ? `No energy is known of this time${why}.` : `Nothing was stored in this time${why}.`;
}

// The point whose step the time is in, else the nearest one.
function nearest(points, time, step) {
  let [low, high] = [0, points.length - 1];
  const middle = (point) => point.start + step / 2;
  const at = (place) => points[place] ?? null;
  while (low < high) {
    const half = (low + high) >> 1;
    const point = at(half) ?? at(half + 1); // breaks stand alone
    if (point && middle(point) < time) low = half + 1;
    else high = half;
  }
  const beside = [at(low - 2), at(low - 1), at(low), at(low + 1)].filter(Boolean);
  return beside.reduce((best, point) => (!best || Math.abs(middle(point) - time) < Math.abs(middle(best) - time) ? point : best), null);
}
