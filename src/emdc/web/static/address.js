// What the address says behind its #: METER shows that meter, METER?metric=W&span=week&at=2026-03-02
// also the chart of one of its metrics.

const NAMES = ["metric", "span", "at", "view"];

export function read() {
  const text = location.hash.slice(1);
  const cut = text.includes("?") ? text.indexOf("?") : text.length;
  const given = new URLSearchParams(text.slice(cut + 1));
  return { meter: decoded(text.slice(0, cut)), ...Object.fromEntries(NAMES.map((name) => [name, given.get(name) ?? ""])) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

export function written({ meter, ...rest }) {
  const given = new URLSearchParams(NAMES.filter((name) => rest[name]).map((name) => [name, rest[name]]));
  const query = String(given) && `?${given}`;
  return `#${encodeURIComponent(meter).replaceAll("%2F", "/")}${query}`;
}
