// Making elements. Values only ever become text or attributes, never markup: titles come from data.
function addChildren(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) {
      node.append(child instanceof Node ? child : String(child));
    }
  }
  return node;
}

function setAttributes(node, attributes) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) {
      node.addEventListener(name.slice(2), value);
    } else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  return node;
}

function element(name, attributes, ...children) {
  return addChildren(setAttributes(document.createElement(name), attributes), children);
}

function svgElement(name, attributes, ...children) {
  return addChildren(setAttributes(document.createElementNS("http://www.w3.org/2000/svg", name), attributes), children);
}

const byId = (id) => document.getElementById(id);

/** Names and values, one below the other; those without a value are left out. */
function pairs(entries) {
  return element("dl", { class: "pairs" }, entries
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => [element("dt", null, name), element("dd", null, value)]));
}

/** Something that is made when it is opened for the first time. */
function folded(title, make) {
  const details = element("details", null, element("summary", null, title));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) {
      details.append(make());
    }
  });
  return details;
}

/** A list, whatever the file said. */
const listOf = (value) => (Array.isArray(value) ? value : []);
