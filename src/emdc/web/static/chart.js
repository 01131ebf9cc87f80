// The chart of one metric: a dialog with an address of its own, over an hour up to a year.

import * as address from "./address.js";
import { why } from "./ask.js";
import { anchor, bounds, iso } from "./calendar.js";
import { makeDialog, press } from "./dialog.js";
import { element, put } from "./dom.js";
import { clock, isEnergy } from "./format.js";
import { factsOf, load } from "./past.js";
import { Picture } from "./picture.js";

const AGAIN_AFTER_S = 10; // a request that failed
const KEYS = { ArrowLeft: -1, ArrowRight: 1 };
const POWER = /^[kM]?W$/;

// Whether a dialog's backdrop was met, which counts as the dialog.
function isBeside(root, { clientX: x, clientY: y }) {
  const { left, right, top, bottom } = root.getBoundingClientRect();
  return x < left || x > right || y < top || y > bottom;
}

export class Chart {
  #parts = makeDialog();
  #picture = new Picture(this.#parts, (from, to) => this.#zoom(from, to));
  #where = null; // what the address says, while the dialog is open
  #fromPage = false; // opened by a link of this page: closing it is going back
  #facts = null;
  #shown = ""; // the address of what is drawn
  #asking = new AbortController();
  #timer = 0;
  #left;

  // `left()`: called when the dialog was closed and the address changed without an event.
  constructor(left) {
    this.#left = left;
    const { root, close, spans, views, previous, next, now } = this.#parts;
    document.body.append(root);
    close.addEventListener("click", () => this.#leave());
    root.addEventListener("pointerdown", (event) => event.target === root && isBeside(root, event) && this.#leave());
    root.addEventListener("cancel", (event) => (event.preventDefault(), this.#leave()));
    root.addEventListener("close", () => this.#where && this.#leave());
    for (const [name, each] of spans.buttons) each.addEventListener("click", () => this.#choose(name));
    for (const [name, each] of views.buttons) each.addEventListener("click", () => this.#go({ view: name }));
    previous.addEventListener("click", () => this.#go({ at: this.#bounds().previous }));
    next.addEventListener("click", () => this.#go({ at: this.#bounds().next }));
    now.addEventListener("click", () => this.#go({ at: "", span: this.#where.span === "zoom" ? "day" : this.#where.span }));
    root.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("visibilitychange", () => document.hidden || (this.#where && this.#load()));
  }

  // Shows what the address says, or closes. `fromPage`: a link of this page changed it.
  follow(where, fromPage) {
    if (!where.metric) {
      this.#end();
      return;
    }
    const { root } = this.#parts;
    const other = this.#where?.meter !== where.meter || this.#where?.metric !== where.metric;
    this.#where = { ...where, span: where.span || "day" };
    if (other) this.#begin();
    if (!root.open) {
      this.#fromPage = fromPage;
      root.showModal();
    }
    this.#load();
  }

  #begin() {
    const { meter, metric } = this.#where;
    const { heading, about, controls } = this.#parts;
    this.#facts = null;
    this.#shown = "";
    this.#picture.clear();
    heading.replaceChildren(element("span", "prefix", `${meter}/`), metric);
    put(about, "");
    controls.hidden = true;
    document.title = `${metric} \u00b7 EMDC`;
  }

  #end() {
    this.#asking.abort();
    clearTimeout(this.#timer);
    this.#where = null;
    this.#picture.clear();
    this.#parts.root.close();
    document.title = "EMDC";
  }

  #leave() {
    if (this.#fromPage) {
      history.back();
      return;
    }
    history.replaceState(null, "", location.pathname + location.search);
    this.#end();
    this.#left();
  }

  // Moving

  #bounds() {
    return bounds({ ...this.#where, zone: this.#facts.zone, now: this.#facts.now() });
  }

  #go(changes) {
    this.#where = { ...this.#where, ...changes };
    history.replaceState(null, "", address.written(this.#where));
    this.#load();
  }

  #choose(span) {
    const { zone, now } = this.#facts;
    this.#go({ span, at: anchor({ ...this.#where, zone, now: now() }, span) });
  }

  #zoom(from, to) {
    const [start, end] = [from, to].map((time) => iso(new Date(Math.round(time) * 1e3)));
    if (start < end) this.#go({ span: "zoom", at: `${start}/${end}` });
  }

  #key(event) {
    const move = KEYS[event.key];
    if (move && !event.altKey && !event.ctrlKey && !event.metaKey) this.#picture.step(event.shiftKey ? 10 * move : move);
  }

  // Loading. Whatever is wanted while an answer is awaited takes its place.

  async #load() {
    clearTimeout(this.#timer);
    this.#asking.abort();
    const { signal } = (this.#asking = new AbortController());
    const wanted = address.written(this.#where);
    if (wanted !== this.#shown) this.#picture.say("Loading\u2026", "busy");
    let wait_s = AGAIN_AFTER_S;
    try {
      await this.#ask(signal);
      if (signal.aborted) return;
      this.#shown = wanted;
      this.#answered = new Date();
      wait_s = this.#picture.pace;
    } catch (error) {
      if (signal.aborted) return;
      if (error.status >= 400 && error.status < 500) wait_s = null;
      this.#failed(why(error), { stays: wanted === this.#shown, again: wait_s !== null });
    }
    if (wait_s !== null) this.#timer = setTimeout(() => document.hidden || this.#load(), wait_s * 1e3);
  }

  #answered = null; // when the last answer came

  async #ask(signal) {
    const { meter, metric } = this.#where;
    this.#facts ??= await factsOf(meter, metric, signal);
    const facts = this.#facts;
    const span = this.#bounds();
    const kind = this.#kind();
    this.#showControls(span, kind);
    const view = await load(facts, { ...span, name: this.#where.span, kind }, signal);
    await this.#picture.draw(facts, { ...view, live: span.end === null }, () => signal.aborted);
  }

  // What is drawn: `texts`, `energy` as bars, or `values` as a line.
  #kind() {
    const { kind, unit } = this.#facts;
    if (kind === "text") return "texts";
    const [usual, other] = kind === "counter" ? ["energy", "values"] : ["values", "energy"];
    return this.#where.view === other && (kind === "counter" || POWER.test(unit)) ? other : usual;
  }

  #showControls(span, kind) {
    const { controls, about, title, spans, views, previous, next, now } = this.#parts;
    const facts = this.#facts;
    controls.hidden = false;
    put(about, facts.description);
    put(title, span.title);
    press(spans, this.#where.span);
    press(views, kind);
    views.root.hidden = facts.kind !== "counter" && !POWER.test(facts.unit);
    put(views.buttons.get("energy"), facts.kind === "counter" && !isEnergy(facts.unit) ? "Counted" : "Energy");
    put(views.buttons.get("values"), facts.kind === "counter" ? "Register" : "Power");
    previous.disabled = span.previous === null;
    next.disabled = span.next === null;
    now.disabled = span.end === null;
  }

  #failed(reason, { stays, again }) {
    if (!stays) this.#picture.clear();
    const since = stays ? `; this is from ${clock(this.#answered)}` : "";
    this.#picture.say(`The chart could not be loaded: ${reason}${since}.${again ? " Trying again." : ""}`, "bad");
  }
}
