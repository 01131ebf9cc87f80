// Elements of the page. Whatever came from outside is put in as text, never as markup.

export const place = (id) => document.getElementById(id);

export function element(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Long names break after an underscore, so that their ends, which tell them apart, stay in sight.
export function breakable(node, name) {
  for (const part of name.split(/(?<=_)/)) node.append(part, document.createElement("wbr"));
  return node;
}
