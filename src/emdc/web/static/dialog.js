// The parts of the chart's dialog, without what they do.

import { SPANS } from "./calendar.js";
import { element } from "./dom.js";

const VIEWS = ["energy", "values"];

function button(kind, text, label) {
  const made = element("button", kind, text);
  made.type = "button";
  if (label) made.setAttribute("aria-label", label);
  return made;
}

function choice(label, names) {
  const root = element("div", "choice");
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", label);
  const buttons = new Map(names.map((name) => [name, button("", name[0].toUpperCase() + name.slice(1))]));
  root.append(...buttons.values());
  return { root, buttons };
}

export function press({ buttons }, wanted) {
  for (const [name, each] of buttons) each.setAttribute("aria-pressed", String(name === wanted));
}

export function makeDialog() {
  const parts = {
    root: element("dialog", "chart"),
    heading: element("h2"),
    about: element("p", "about"),
    close: button("close", "\u00d7", "Close"),
    spans: choice("Span", SPANS),
    previous: button("move", "\u2039", "Earlier"),
    title: element("strong", "title"),
    next: button("move", "\u203a", "Later"),
    now: button("move", "Now"),
    views: choice("View", VIEWS),
    controls: element("div", "controls"),
    csv: element("a", "csv", "CSV"),
    readout: element("p", "readout"),
    plot: element("div", "plot"),
    notice: element("p", "notice"),
    notes: element("div", "notes"),
    source: element("p", "source"),
  };
  parts.heading.id = "chart-heading";
  parts.root.setAttribute("aria-labelledby", parts.heading.id);
  parts.readout.setAttribute("aria-live", "polite");
  parts.notice.setAttribute("role", "status");
  parts.plot.setAttribute("role", "img");
  const head = element("header");
  head.append(parts.heading, parts.about, parts.close);
  const moves = element("div", "moves");
  moves.append(parts.previous, parts.title, parts.next, parts.now);
  parts.controls.append(parts.spans.root, moves, parts.views.root, parts.csv);
  parts.root.append(head, parts.controls, parts.readout, parts.plot, parts.notice, parts.notes, parts.source);
  return parts;
}

// A heading and a list of texts; nothing when there are none.
export function noted(title, texts, most, more = false) {
  if (!texts.length) return [];
  const list = element("ul");
  list.append(...texts.slice(0, most).map((text) => element("li", "", text)));
  const left = texts.length - most;
  if (left > 0 || more) list.append(element("li", "", `\u2026 and ${left > 0 ? left : ""}${more ? " more" : ""}`.replace("  ", " ")));
  return [element("h3", "", title), list];
}
