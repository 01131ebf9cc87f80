// Drawing with uPlot: a line with its band from least to greatest, or bars; gaps shaded behind them.

import uPlot from "./vendor/uPlot.esm.js";
import { mark } from "./format.js";

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
const STEPS = [
  ...[1, 2, 5, 10, 15, 30],
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 4, 6, 8, 12].map((n) => n * HOUR),
  ...[1, 2, 3, 5, 10, 15, 30, 90, 365].map((n) => n * DAY),
];
const ASIDE_PX = 8; // a selection narrower than that is a click

// `onCursor(time)`: seconds under the cursor, or null; `onSelect(from, to)`.
export class Plot {
  #holder;
  #events;
  #plot = null;
  #view = null;
  #colours = {};

  constructor(holder, events) {
    this.#holder = holder;
    this.#events = events;
    new ResizeObserver(() => holder.clientWidth && this.#plot?.setSize(this.#size())).observe(holder);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#view && this.draw(this.#view));
  }

  // `view`: {bars} or {columns, alone}, with from, to, gaps, zone and scale. Of the same kind and
  // zone as the last one, it replaces the data and leaves the cursor.
  draw(view) {
    const before = this.#view;
    const colours = themed(this.#holder);
    this.#view = view;
    if (this.#plot && before && same(before, view) && colours.text === this.#colours.text) {
      this.#plot.setData(dataOf(view), false);
      this.#plot.batch(() => this.#rescale());
      return;
    }
    this.clear();
    this.#view = view;
    this.#colours = colours;
    this.#plot = new uPlot(this.#options(), dataOf(view), this.#holder);
    followTouch(this.#plot);
    this.#rescale();
  }

  get hovered() {
    return this.#plot !== null && this.#plot.cursor.left >= 0;
  }

  clear() {
    this.#plot?.destroy();
    this.#plot = null;
    this.#view = null;
  }

  // Moves the cursor by points, for the arrow keys.
  step(by) {
    const plot = this.#plot;
    if (!plot) return;
    const [first, last] = [plot.valToIdx(this.#view.from), plot.valToIdx(this.#view.to)];
    const at = (plot.cursor.idx ?? (by > 0 ? first - 1 : last + 1)) + by;
    const left = plot.valToPos(plot.data[0][Math.min(Math.max(at, first), last)], "x");
    plot.setCursor({ left, top: plot.over.clientHeight / 2 });
  }

  #rescale() {
    this.#plot.setScale("x", { min: this.#view.from, max: this.#view.to });
  }

  #size() {
    return { width: this.#holder.clientWidth, height: this.#holder.clientHeight };
  }

  #options() {
    const { text, line, accent } = this.#colours;
    const font = `12px ${getComputedStyle(this.#holder).fontFamily}`;
    const axis = { stroke: text, font, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1, size: 5 } };
    return {
      ...this.#size(),
      padding: [26, 24, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false },
        points: this.#view.bars ? { show: false } : { size: 7, fill: accent },
      },
      tzDate: (time) => uPlot.tzDate(new Date(time * 1e3), this.#view.zone),
      scales: { x: { time: true }, y: { range: (_, least, most) => this.#range(least, most) } },
      axes: [
        { ...axis, incrs: STEPS, space: 60, size: 34, values: (_, times, __, ___, step) => times.map(timeMark(this.#view.zone, step)) },
        {
          ...axis,
          values: (_, values, __, ___, step) => values.map((value) => mark(value, step)),
          size: (_, values) => 18 + 7 * Math.max(2, ...(values ?? []).map((value) => value.length)),
        },
      ],
      ...(this.#view.bars ? this.#barOptions() : this.#lineOptions()),
      hooks: {
        drawClear: [() => this.#shade()],
        draw: [() => this.#view.bars && this.#bars(), (plot) => this.#unit(plot)],
        setCursor: [(plot) => this.#events.onCursor(plot.cursor.left >= 0 ? plot.posToVal(plot.cursor.left, "x") : null)],
        setSelect: [(plot) => this.#selected(plot)],
      },
    };
  }

  #lineOptions() {
    const { accent } = this.#colours;
    const edge = { stroke: "transparent", width: 0, points: { show: false } };
    const points = { size: 5, fill: accent, filter: (_, __, shown) => (shown ? null : this.#view.alone) };
    return {
      series: [{}, edge, { ...edge }, { stroke: accent, width: 1.5, points }],
      bands: [{ series: [2, 1], fill: faint(accent, 0.22) }],
    };
  }

  #barOptions() {
    const none = { show: false };
    return { series: [{}, { stroke: "transparent", width: 0, points: none, paths: () => null }] };
  }

  // Bars begin at nought; for a line uPlot's own rule, which leaves some room.
  #range(least, most) {
    if (least === null || least === undefined) return [0, 1];
    return this.#view.bars ? [0, most * 1.08 || 1] : uPlot.rangeNum(least, most, 0.1, true);
  }

  #selected(plot) {
    const { left, width } = plot.select;
    if (width < ASIDE_PX) return;
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.#events.onSelect(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
  }

  #shade() {
    const { ctx, bbox } = this.#plot;
    ctx.save();
    ctx.fillStyle = faint(this.#colours.late, 0.28);
    for (const gap of this.#view.gaps) {
      const [left, right] = this.#across(gap);
      if (right > left) ctx.fillRect(left, bbox.top, Math.max(right - left, 2), bbox.height);
    }
    ctx.restore();
  }

  #bars() {
    const { ctx } = this.#plot;
    const floor = this.#plot.valToPos(0, "y", true);
    ctx.save();
    for (const bar of this.#view.bars) {
      const [left, right] = this.#across(bar);
      if (bar.value === null || right <= left) continue;
      const top = this.#plot.valToPos(bar.value, "y", true);
      const room = Math.min(Math.max((right - left) * 0.12, 1), 8);
      ctx.fillStyle = this.#barColour(bar);
      ctx.fillRect(left + room, Math.min(top, floor - 1), Math.max(right - left - 2 * room, 1), Math.max(floor - top, 1));
    }
    ctx.restore();
  }

  #barColour({ doubt }) {
    const { accent, late } = this.#colours;
    return doubt === "suspect" ? faint(late, 0.75) : doubt ? faint(accent, 0.6) : accent;
  }

  // Above the numbers of its axis.
  #unit({ ctx, bbox }) {
    const { devicePixelRatio: ratio } = window;
    ctx.save();
    ctx.font = `${12 * ratio}px ${getComputedStyle(this.#holder).fontFamily}`;
    ctx.fillStyle = this.#colours.text;
    ctx.textAlign = "right";
    const right = Math.max(bbox.left - 10 * ratio, ctx.measureText(this.#view.unit).width + 1);
    ctx.fillText(this.#view.unit, right, bbox.top - 13 * ratio);
    ctx.restore();
  }

  // Where a stretch of time begins and ends on the canvas, within the plot.
  #across({ start, end }) {
    const { left, width } = this.#plot.bbox;
    return [start, end].map((time) => Math.min(Math.max(this.#plot.valToPos(time, "x", true), left), left + width));
  }
}

const same = (a, b) => a.zone === b.zone && !a.bars === !b.bars;

function dataOf({ bars, columns }) {
  return bars ? [bars.map((bar) => (bar.start + bar.end) / 2), bars.map((bar) => bar.value)] : columns;
}

// The page's colours, whichever of its two themes is on; each is # and six digits.
function themed(node) {
  const style = getComputedStyle(node);
  const named = (name) => style.getPropertyValue(`--${name}`).trim();
  return { text: named("soft"), line: named("line"), accent: named("accent"), late: named("late") };
}

const faint = (colour, share) => colour + Math.round(share * 255).toString(16).padStart(2, "0");

// A text for each mark of the time axis: a day's name where one begins, else the 24 h clock.
function timeMark(zone, step) {
  const format = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: zone, ...options });
  if (step >= 365 * DAY) return (time) => format({ year: "numeric" }).format(time * 1e3);
  if (step >= 30 * DAY) {
    const month = format({ month: "short", year: "2-digit" });
    return (time) => month.format(time * 1e3);
  }
  const day = format({ day: "numeric", month: "short" });
  if (step >= DAY) return (time) => day.format(time * 1e3);
  const clock = format({ hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(step < MINUTE && { second: "2-digit" }) });
  return (time) => {
    const text = clock.format(time * 1e3);
    return /^00:00(:00)?$/.test(text) ? day.format(time * 1e3) : text;
  };
}

// uPlot listens to a mouse; a finger moves the cursor as well.
function followTouch(plot) {
  const follow = (event) => {
    if (event.pointerType === "mouse") return;
    const box = plot.over.getBoundingClientRect();
    plot.setCursor({ left: event.clientX - box.left, top: event.clientY - box.top });
  };
  plot.over.addEventListener("pointerdown", follow);
  plot.over.addEventListener("pointermove", follow);
}
