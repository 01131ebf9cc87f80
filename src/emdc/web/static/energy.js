// The lines of a card that say what its main counters counted today and yesterday.

import { written } from "./address.js";
import { ask, why } from "./ask.js";
import { element } from "./dom.js";
import { energy, isRealEnergy } from "./format.js";
import { doubt } from "./readout.js";

const IMPORT = /deliver|imp|consum|used|drawn/i;
const EXPORT = /receive|exp|gener|yield|feed|\bout\b/i;

// One that counts what was taken and one that counts what was given, by their names; those of a
// phase or a tariff have longer ones. Without such names the shortest.
export function mainCounters(counters) {
  const stored = counters.filter((one) => one.today || one.yesterday);
  const real = stored.filter((one) => isRealEnergy(one.unit));
  const pool = [...(real.length ? real : stored)].sort((a, b) => a.metric.length - b.metric.length);
  const taken = pool.find((one) => IMPORT.test(one.metric));
  const given = pool.find((one) => EXPORT.test(one.metric) && one !== taken);
  return taken || given ? [taken, given].filter(Boolean) : pool.slice(0, 1);
}

export async function loadEnergy(meter, card) {
  try {
    const { counters } = await ask(`energy/today?meter=${encodeURIComponent(meter)}`);
    card.energy.replaceChildren(...mainCounters(counters).map((one) => line(meter, one, card)));
  } catch (error) {
    card.energy.replaceChildren(element("li", "reason", `no energy: ${why(error)}`));
    throw error;
  }
}

function line(meter, counter, card) {
  const link = element("a");
  link.href = written({ meter, metric: counter.metric });
  const name = element("span", "counter", counter.metric);
  name.title = card.rows.get(counter.metric)?.name.title ?? counter.metric;
  link.append(name, ...amount("today", counter.today, counter.unit), ...amount("yesterday", counter.yesterday, counter.unit));
  const item = element("li");
  item.append(link);
  return item;
}

function amount(word, period, unit) {
  const known = period !== null && period.energy !== null;
  const root = element("span", "amount");
  root.append(`${word} `, element("b", "", known ? energy(period.energy, unit) : "\u2014"));
  const doubtful = period && doubt(period);
  if (doubtful?.short && known) root.append(" ", element("span", "doubt", doubtful.short));
  root.title = doubtful ? doubtful.words : known ? `${period.energy} ${unit}` : "nothing is known";
  return [root];
}
