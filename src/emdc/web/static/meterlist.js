// The list of all meters, with a field to find one; shown when there are too many for a card each.

import { written } from "./address.js";
import { showState } from "./card.js";
import { element, place, put } from "./dom.js";
import { since } from "./format.js";

export const ORDER = ["down", "late", "never", "ok"];

export function showList(meters, shown) {
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
  const address = written({ meter: meter.name });
  if (row.firstChild.getAttribute("href") !== address) row.firstChild.setAttribute("href", address);
  row.firstChild.toggleAttribute("aria-current", shown.includes(meter.name));
}
