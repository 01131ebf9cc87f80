// Numbers, ages and energies as people read them.

const ENERGY = /^([kKMG]?)(Wh|VAh|[vV][aA][rR]h)$/;
const SIZES = { "": 1, k: 1e3, K: 1e3, M: 1e6, G: 1e9 };
const KILO_UP_TO = 10_000; // kWh; beyond it MWh are easier to read
const MEGA_UP_TO = 10_000;

// A counter has all its digits, as on the meter's display, and so has a whole number; of others
// five are enough to see.
export function show(value, metric) {
  if (metric.whole) return grouped(String(value));
  if (typeof value !== "number") return value;
  if (metric.kind === "counter") return grouped(String(value));
  const size = Math.abs(value);
  if (size >= 1e15 || (size > 0 && size < 1e-3)) return grouped(value.toExponential(3));
  const digits = size >= 1 ? Math.floor(Math.log10(size)) : 0;
  return grouped(value.toFixed(Math.max(0, 4 - digits)));
}

export function grouped(text) {
  if (text.includes("e")) return text.replaceAll("-", "\u2212");
  const [head, tail] = text.split(".");
  const whole = head.replace(/\B(?=(\d{3})+$)/g, "\u202f").replace("-", "\u2212");
  return tail === undefined ? whole : `${whole}.${tail}`;
}

// A number of an axis whose marks are `step` apart.
export function mark(value, step) {
  if (Math.abs(value) >= 1e12 || (step > 0 && step < 1e-6)) return grouped(value.toExponential(2));
  let digits = 0;
  while (digits < 9 && Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6) digits += 1;
  return grouped(value.toFixed(digits));
}

// In which unit energies up to `most` are best read, and how many of `unit` it has.
export function energyScale(most, unit) {
  const [, prefix, base] = ENERGY.exec(unit) ?? [];
  if (base === undefined) return { unit, size: 1 };
  const kilos = (Math.abs(most) * SIZES[prefix]) / 1e3;
  const better = kilos < KILO_UP_TO ? "k" : kilos < KILO_UP_TO * MEGA_UP_TO ? "M" : "G";
  return { unit: better + base, size: SIZES[better] / SIZES[prefix] };
}

export const isEnergy = (unit) => ENERGY.test(unit);
export const isRealEnergy = (unit) => ENERGY.exec(unit)?.[2] === "Wh";

// `scale`: that of energies beside it; else its own.
export function energy(value, unit, scale = energyScale(value, unit)) {
  const scaled = value / scale.size;
  const size = Math.abs(scaled);
  const digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3;
  const whole = value === 0 || (!isEnergy(unit) && Number.isInteger(value));
  return `${grouped(whole ? String(value) : scaled.toFixed(digits))} ${scale.unit}`.trimEnd();
}

export function since(seconds) {
  if (seconds === null) return "never";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

export function lasting(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export const spaced = (reason) => reason.replaceAll("_", " ").replace(":", ": ");
export const clock = (date) => date.toLocaleTimeString([], { hour12: false });
export const some = (count, one, many = `${one}s`) => `${grouped(String(count))} ${count === 1 ? one : many}`;
