// Elements made by script. Whatever comes from the server becomes text here, never markup, without hidden characters.

import { visible } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * Return an element.
 *
 * `attributes`: "text" is its text, "onclick" and the like are listeners; null, undefined and false are left out.
 * Children that are null, undefined, false or empty are left out too.
 */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** Return an element of SVG; see `element`. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  set(made, attributes);
  made.append(...present(children));
  return made;
}

function present(children) {
  return children
    .flat()
    .filter((child) => child !== null && child !== undefined && child !== false && child !== "")
    .map((child) => (typeof child === "string" ? visible(child) : child));
}

/** Set attributes of an element that is there; those that are null, undefined or false are removed. */
export function set(made, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") setText(made, value);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === null || value === undefined || value === false) made.removeAttribute(name);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
}

/** Set the text of an element, if it is another one: a screen reader is not told the same again. */
export function setText(made, text) {
  const words = text === null || text === undefined ? "" : visible(String(text));
  if (made.textContent !== words) made.textContent = words;
}

/** Return a link to the page of a trial. */
export function trialLink(trial, text = `trial ${trial}`) {
  return element("a", { href: `#trial/${encodeURIComponent(trial)}`, "data-key": `trial ${trial}`, text });
}

/**
 * Put other children into an element. The page changes twice a second and must still be usable: what has the focus
 * keeps it, what is open stays open and what is scrolled stays scrolled, where the new children have an element of the
 * same `data-key`.
 */
export function replaceChildren(parent, ...children) {
  const keyed = [...parent.querySelectorAll("[data-key]")];
  const states = keyed.map((each) => ({
    key: each.dataset.key,
    isOpen: each.open,
    top: each.scrollTop,
    left: each.scrollLeft,
    isFocused: each === document.activeElement,
  }));
  parent.replaceChildren(...present(children));
  for (const { key, isOpen, top, left, isFocused } of states.filter(
    (each) => each.isOpen || each.top || each.left || each.isFocused,
  )) {
    const now = parent.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (!now) continue;
    if (isOpen) now.open = true;
    if (isFocused) now.focus({ preventScroll: true });
    [now.scrollTop, now.scrollLeft] = [top, left];
  }
}

/**
 * Return a table that scrolls in itself.
 *
 * @param columns Each `{title, text}`: whether its cells are left-aligned text.
 * @param rows Each a list of cells: texts or elements.
 */
export function table(label, columns, rows) {
  const head = columns.map((column) =>
    element("th", { scope: "col", class: column.text && "text", text: column.title }),
  );
  const cell = (value, place) => element("td", { class: columns[place].text && "text" }, value);
  const body = rows.map((row) => element("tr", {}, row.map(cell)));
  return scrolling(
    label,
    element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, body)),
  );
}

/** Return a box that scrolls sideways, by keyboard too. */
export function scrolling(label, ...children) {
  return element(
    "div",
    { class: "table", role: "region", "aria-label": label, "data-key": `table ${label}`, tabindex: 0 },
    ...children,
  );
}

/** Open the page of a trial, if there is one. */
export function openTrial(trial) {
  if (Number.isInteger(trial)) location.hash = `#trial/${trial}`;
}
