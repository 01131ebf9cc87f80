// The first page: asks /state at the meters' interval and changes only the texts that changed.

import { read } from "./address.js";
import { ask, shortly } from "./ask.js";
import { WORDS, cards, showCard } from "./card.js";
import { Chart } from "./chart.js";
import { element, place, put } from "./dom.js";
import { loadEnergy } from "./energy.js";
import { clock, some } from "./format.js";
import { ORDER, showList } from "./meterlist.js";

const PAST_EVERY_MS = 60_000;

const chart = new Chart(() => refresh().then(loadPast));
let newest = null; // the last answer of /state
let answered = null; // when it came, a Date
let many = false; // /state has the values of one meter at a time
let timer = 0;

function showAll() {
  const { health, values } = newest;
  const now = Date.parse(newest.now);
  const meters = new Map(health.meters.map((meter) => [meter.name, meter]));
  for (const [name, card] of cards) {
    if (name in values) continue;
    card.root.remove();
    cards.delete(name);
  }
  for (const [name, metrics] of Object.entries(values)) showCard(meters.get(name), metrics, now, newest.refresh_s);
  showList(health.meters, Object.keys(values));
  const counts = ORDER.filter((state) => health.totals[state])
    .reverse()
    .map((state) => `${health.totals[state]} ${WORDS[state]}`);
  put(place("summary"), `${health.version} \u00b7 ${some(health.meters.length, "meter")}: ${counts.join(", ")}`);
  put(place("updated"), `updated ${clock(answered)}`);
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

// The meter whose card is wanted alone. Behind a chart all cards stay, if all are there.
function chosen() {
  const { meter, metric } = read();
  if (!metric) return meter;
  return many && newest.health.meters.some(({ name }) => name === meter) ? meter : "";
}

async function refresh() {
  clearTimeout(timer);
  const meter = chosen();
  let failure = "";
  try {
    newest = await ask(meter ? `state?meter=${encodeURIComponent(meter)}` : "state");
    answered = new Date();
    if (!meter) many = Object.keys(newest.values).length < newest.health.meters.length;
    showAll();
  } catch (error) {
    if (error.status === 404 && meter) location.hash = "";
    failure = shortly(error);
  }
  showBanners(failure);
  if (!document.hidden) timer = setTimeout(refresh, (newest?.refresh_s ?? 2) * 1000);
}

// Lines of the last hour, and energies.
async function loadPast() {
  for (const [name, card] of document.hidden ? [] : cards) {
    try {
      const { points } = await ask(`sparklines?meter=${encodeURIComponent(name)}`);
      for (const [metric, row] of card.rows) {
        if (points[metric]?.length) row.points = points[metric];
      }
      await loadEnergy(name, card);
    } catch {
      break; // the banner of the next refresh says what is wrong
    }
  }
}

place("filter").addEventListener("input", () => newest && showAll());
window.addEventListener("hashchange", () => {
  chart.follow(read(), true);
  refresh().then(() => read().metric || loadPast());
});
document.addEventListener("visibilitychange", () => document.hidden || refresh().then(loadPast));
chart.follow(read(), false);
await refresh();
await loadPast();
if (newest) showAll();
setInterval(loadPast, PAST_EVERY_MS);
