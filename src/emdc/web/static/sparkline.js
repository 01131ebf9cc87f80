// A line of the last hour in one small SVG. Points are [seconds since 1970, value], oldest first;
// where the value is null the line is broken, so that an outage stays visible.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 120;
const HEIGHT = 24;
const HOUR_S = 3600;
const MOST_POINTS = 1000;

export function sparkline() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.append(document.createElementNS(SVG, "title"), document.createElementNS(SVG, "path"));
  return svg;
}

// `gap_s`: a point that comes later than that after the last one does not go on with its line.
export function addPoint(points, time, value, gap_s) {
  const last = points.length ? points[points.length - 1][0] : null;
  if (last !== null && last >= time) return;
  if (last !== null && time - last > gap_s) points.push([(last + time) / 2, null]);
  points.push([time, value]);
  while (points[0][0] < time - HOUR_S || points.length > MOST_POINTS) points.shift();
}

export function draw(svg, points, show) {
  if (points.length < 2) return;
  const first = points[0][0];
  const last = points[points.length - 1][0];
  let least = Infinity;
  let most = -Infinity;
  for (const [, value] of points) {
    if (value === null) continue;
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  const x = (time) => (((time - first) / (last - first)) * WIDTH).toFixed(1);
  const y = (value) =>
    most > least ? (HEIGHT - 1 - ((value - least) / (most - least)) * (HEIGHT - 2)).toFixed(1) : HEIGHT / 2;
  const isBreak = (place) => (points[place]?.[1] ?? null) === null;
  let line = "";
  points.forEach(([time, value], place) => {
    if (value === null) return;
    line += `${isBreak(place - 1) ? "M" : "L"}${x(time)} ${y(value)}`;
    if (isBreak(place - 1) && isBreak(place + 1)) line += "h2"; // a point alone is a dot
  });
  svg.querySelector("path").setAttribute("d", line);
  const minutes = Math.max(1, Math.round((last - first) / 60));
  svg.querySelector("title").textContent = `last ${minutes} min: ${show(least)} to ${show(most)}`;
}
