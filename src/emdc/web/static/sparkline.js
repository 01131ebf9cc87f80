// A line of the last hour in one small SVG. Points are [seconds since 1970, value], oldest first.

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

export function addPoint(points, time, value) {
  if (points.length && points[points.length - 1][0] >= time) return;
  points.push([time, value]);
  while (points[0][0] < time - HOUR_S || points.length > MOST_POINTS) points.shift();
}

// `gap_s`: two points further apart are not joined, so that an outage stays visible.
export function draw(svg, points, gap_s, show) {
  if (points.length < 2) return;
  const first = points[0][0];
  const last = points[points.length - 1][0];
  let least = Infinity;
  let most = -Infinity;
  for (const [, value] of points) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  const x = (time) => (((time - first) / (last - first)) * WIDTH).toFixed(1);
  const y = (value) =>
    most > least ? (HEIGHT - 1 - ((value - least) / (most - least)) * (HEIGHT - 2)).toFixed(1) : HEIGHT / 2;
  let line = "";
  let before = -Infinity;
  for (const [time, value] of points) {
    line += `${time - before > gap_s ? "M" : "L"}${x(time)} ${y(value)}`;
    before = time;
  }
  svg.querySelector("path").setAttribute("d", line);
  const minutes = Math.max(1, Math.round((last - first) / 60));
  svg.querySelector("title").textContent = `last ${minutes} min: ${show(least)} to ${show(most)}`;
}
