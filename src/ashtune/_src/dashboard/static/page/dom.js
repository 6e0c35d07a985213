// Elements made by script. Server text is always shown as text, never as markup, with hidden characters escaped.

import { shortened, visible } from "./text.js";

/**
 * Return an element.
 *
 * `name`: with its classes, as in "p.quiet". `content`: attributes, if the first one is an object, and children. Listeners
 * are attributes such as "onclick". What is null, undefined or false is left out, and so are empty texts.
 *
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name | `${Name}.${string}`} name
 * @param {any[]} content
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function element(name, ...content) {
  const [tag, ...classes] = name.split(".");
  const made = /** @type {HTMLElementTagNameMap[Name]} */ (document.createElement(tag));
  if (classes.length) made.className = classes.join(" ");
  if (content[0]?.constructor === Object) set(made, content.shift());
  made.append(...present(content));
  return made;
}

function present(children) {
  const there = children.flat(2).filter((child) => !isLeftOut(child) && child !== "");
  return there.map((child) => (typeof child === "string" ? visible(child) : child));
}

function isLeftOut(value) {
  return (value ?? false) === false;
}

/**
 * Set attributes of an existing element. "text" is its text, and "onclick" and the like are listeners. An attribute that
 * is null, undefined or false is removed.
 */
export function set(made, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") setText(made, value);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (isLeftOut(value)) made.removeAttribute(name);
    else if (made.getAttribute(name) !== String(value)) made.setAttribute(name, value === true ? "" : String(value));
  }
}

/** Set the text of an element only if it differs, so that a screen reader does not read the same text again. */
export function setText(made, text) {
  const words = isLeftOut(text) ? "" : visible(String(text));
  if (made.textContent !== words) made.textContent = words;
}

/** Return an element of index.html. @returns {HTMLElement} */
export function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** Return a link to the page of a study. */
export function studyLink(id, text) {
  return element("a", { href: `?study=${id}`, "data-key": `study ${id}` }, shortened(text, 60));
}

/** Return a link to the page of a trial. */
export function trialLink(trial, text = `trial ${trial}`) {
  return element("a", { href: `#trial/${trial}`, "data-key": `trial ${trial}` }, text);
}

/**
 * Replace the children of an element. The page changes twice a second and must remain usable: if a new child has an
 * element with the same `data-key` as before, its focus, its open state and its scroll position are kept.
 */
export function replaceChildren(parent, ...children) {
  const states = [...parent.querySelectorAll("[data-key]")].map((each) => ({
    key: each.dataset.key,
    isOpen: each.open,
    top: each.scrollTop,
    left: each.scrollLeft,
    isFocused: each === document.activeElement,
  }));
  parent.replaceChildren(...present(children));
  for (const { key, isOpen, top, left, isFocused } of states) {
    const now = (isOpen || top || left || isFocused) && parent.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (!now) continue;
    if (isOpen) now.open = true;
    if (isFocused) now.focus({ preventScroll: true });
    [now.scrollTop, now.scrollLeft] = [top, left];
  }
}

/**
 * Return a table with its own scroll bar, which also works by keyboard. Its first column is text.
 *
 * @param label The table's name.
 * @param columns The titles of its columns, as texts or as elements `th`.
 * @param rows Lists of cells: texts, or elements, some of which may be `td` or `th`.
 * @param {Record<string, unknown>} attributes Attributes of the table.
 */
export function table(label, columns, rows, attributes = {}) {
  const isCell = (value) => value instanceof HTMLTableCellElement;
  const heads = columns.map((title) => (isCell(title) ? title : element("th", { scope: "col" }, title)));
  const body = rows.map((row) =>
    element("tr", row.map((value) => (isCell(value) ? value : element("td", value)))),
  );
  return element(
    "div",
    { class: "table", role: "region", "aria-label": label, "data-key": `table ${label}`, tabindex: 0 },
    element("table", attributes, element("thead", element("tr", heads)), element("tbody", body)),
  );
}

/** Return a button. */
export function button(text, onclick, attributes = {}) {
  return element("button", { type: "button", onclick, ...attributes }, text);
}

/** Return a form of some fields and a button that submits it. */
export function form(fields, action, submit) {
  const onsubmit = (event) => {
    event.preventDefault();
    submit();
  };
  const attributes = { class: "choice", autocomplete: "off", onsubmit };
  return element("form", attributes, fields, element("button", { type: "submit" }, action));
}

/**
 * Return a form of one field for a whole number, and the input of the field.
 *
 * @param id Id of the input. @param title Its label. @param submit Called with the number.
 */
export function numberForm(id, title, attributes, action, submit) {
  const input = element("input", { id, type: "number", step: 1, required: true, ...attributes });
  const label = element("label", { for: id }, title);
  return { input, element: form([label, input], action, () => submit(Number(input.value))) };
}

/** Return a button that removes something. @param label What it does, which also identifies it. */
export function remover(label, onclick) {
  return button("×", onclick, { class: "plain", "aria-label": label, "data-key": label });
}

/** Return details that can be opened. @param key Identifies them, so that they stay open when they are drawn again. */
export function folded(summary, key, ...content) {
  return element("details.data", { "data-key": key }, element("summary", { "data-key": `summary ${key}` }, summary), ...content);
}

/**
 * Set the options of a select; return whether they have changed.
 *
 * @param options Names, or pairs of value and text. @param value The chosen value, by default the one before.
 */
export function fillOptions(select, options, value = select.value) {
  const shown = JSON.stringify(options);
  if (select.dataset.shown === shown) return false;
  select.dataset.shown = shown;
  const pairs = options.map((each) => (Array.isArray(each) ? each : [each, shortened(each, 40)]));
  select.replaceChildren(...pairs.map(([each, text]) => element("option", { value: each }, text)));
  if (pairs.some(([each]) => each === value)) select.value = value;
  return true;
}

/**
 * Return a slider: its element, its input, and a function that sets its value.
 *
 * @param id Id of its input. @param title Its label. @param attributes Attributes of its input, such as `max`.
 * @param text Returns the text for a number. @param changed Called with the chosen number.
 */
export function slider(id, title, attributes, text, changed) {
  const output = element("output", { for: id });
  const input = element("input", { id, type: "range", min: 0, value: 0, ...attributes });
  const show = () => {
    const words = text(Number(input.value));
    set(input, { "aria-valuetext": words });
    setText(output, words);
  };
  input.addEventListener("input", () => {
    show();
    changed(Number(input.value));
  });
  show();
  const place = element("div.slider", element("label", { for: id }, title), input, output);
  const setValue = (value) => {
    if (document.activeElement !== input) input.value = value;
    show();
  };
  return { element: place, input, set: setValue };
}
