// The documentation page: draws openapi.json, and sends a request when asked to.
// Texts go in by textContent only, and nothing is loaded from elsewhere.

const MOST_SHOWN = 20_000;
const place = (id) => document.getElementById(id);

function element(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text.replaceAll("`", "");
  return made;
}

function bounds(schema) {
  if (schema.enum) return schema.enum.join(" or ");
  if (schema.maximum === undefined) return "";
  const start = schema.default === undefined ? "" : `, default ${schema.default}`;
  return `${schema.minimum} to ${schema.maximum}${start}`;
}

function drawParameter(parameter) {
  const row = element("label", "parameter");
  const name = element("span");
  name.append(element("code", "", parameter.name));
  if (parameter.required) name.append(element("span", "required", " required"));
  const field = element("input");
  field.name = parameter.name;
  field.placeholder = bounds(parameter.schema);
  row.append(name, field, element("span", "meaning", parameter.description));
  return row;
}

function address(path, form) {
  const query = new URLSearchParams();
  for (const field of form.querySelectorAll("input[name]")) {
    if (field.value) query.set(field.name, field.value);
  }
  const base = new URL(`.${path}`, location.href);
  base.search = query.toString();
  return base;
}

function curl(method, path, form, json) {
  const post = method === "POST" ? "-X POST " : "";
  const accept = json ? "-H 'Accept: application/json' " : "";
  return `curl ${post}${accept}'${address(path, form).href.replaceAll("'", "%27")}'`;
}

async function send(method, path, form, json, output) {
  output.hidden = false;
  output.textContent = "…";
  try {
    const accept = json ? "application/json" : "*/*";
    const answer = await fetch(address(path, form), { method, headers: { Accept: accept } });
    const text = await answer.text();
    output.textContent = `${answer.status} ${answer.statusText}\n${pretty(text).slice(0, MOST_SHOWN)}`;
  } catch {
    output.textContent = "no connection to the collector";
  }
}

function pretty(text) {
  try {
    return typeof JSON.parse(text) === "object" ? JSON.stringify(JSON.parse(text), null, 2) : text;
  } catch {
    return text;
  }
}

function drawOperation(path, method, operation) {
  const form = element("form", "operation");
  const title = element("h2");
  title.append(element("span", "method", method), path);
  form.append(title, element("p", "", `${operation.summary}.`));
  if (operation.description) form.append(element("p", "more", operation.description));
  form.append(...(operation.parameters ?? []).map(drawParameter));
  const statuses = Object.entries(operation.responses ?? {}).map(([code, { description }]) => `${code} ${description}`);
  form.append(element("p", "statuses", `Answers: ${statuses.join(" · ")}`));
  const both = Object.keys(operation.responses?.["200"]?.content ?? {}).length > 1;
  form.append(...drawSend(path, method, form, both));
  return form;
}

function drawSend(path, method, form, both) {
  const line = element("div", "send");
  const asJson = element("input");
  asJson.type = "checkbox";
  const label = element("label");
  label.append(asJson, " JSON");
  label.hidden = !both;
  const command = element("code");
  const output = element("pre");
  output.hidden = true;
  const update = () => (command.textContent = curl(method, path, form, asJson.checked));
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(method, path, form, asJson.checked, output);
  });
  line.append(element("button", "", "Send"), label, command);
  update();
  return [line, output];
}

const description = await (await fetch("openapi.json")).json();
place("title").textContent = `HTTP API, version ${description.info.version}`;
place("about").textContent = description.info.description.replaceAll("`", "");
for (const [path, methods] of Object.entries(description.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    place("operations").append(drawOperation(path, method.toUpperCase(), operation));
  }
}
