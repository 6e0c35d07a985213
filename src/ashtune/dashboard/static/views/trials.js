// The table of trials. The server searches, sorts and filters; the page has one leaf of it at a time.

import { element, replaceChildren, scrolling, set, setText, trialLink } from "../page/dom.js";
import { Section } from "../page/section.js";
import { countText, isNumber, numberText, plural, secondsText, shortened, valueText } from "../page/text.js";
import { Filters, showChips } from "./trial_filters.js";

const COUNT = 25;
/** The table may be asked for again after so many milliseconds: it costs the server little. */
const EVERY = 3000;
/** The event by which other views ask for a filter: its detail is a list of `{name, low, high}`. */
export const FILTER = "ashtune-filter";

export function trials(study) {
  const section = new Section("trials", "Trials");
  const asked = { search: "", sort: "value", order: "", status: "", rung: "", origin: "", where: [], offset: 0 };
  const place = element("div");
  const count = element("p", { class: "quiet", role: "status" });
  const chips = element("ul", { class: "chips" });
  const pages = element("div", { class: "pages" });
  const controls = new Filters(study, asked, () => change({}));
  section.body.append(controls.element, chips, count, place, pages);

  const question = () =>
    study.parts.head?.tried || study.parts.head?.running ? ["trials", parametersOf(asked, study)] : null;
  const consider = section.askWhenSeen(
    study,
    question,
    (answer) => {
      setText(count, countOf(answer, asked));
      replaceChildren(
        place,
        trialsTable(answer, asked, study, (sort, order) => change({ sort, order })),
      );
      turnPages(pages, answer, asked, (offset) => change({ offset }, true));
    },
    { every: EVERY },
  );
  const change = (changes, isTurn = false) => {
    Object.assign(asked, changes, isTurn ? {} : { offset: 0 });
    showChips(chips, asked, study, () => change({}));
    consider();
  };
  study.on(["space", "ladder", "head"], () => controls.offer());
  addEventListener(FILTER, ({ detail }) => {
    asked.where = detail;
    change({});
    section.element.scrollIntoView();
    section.element.focus({ preventScroll: true });
  });
  return section;
}

function firstOrder(name, study) {
  return name === "value" && study.objective.mode === "max" ? "desc" : "asc"; // the best, and the first, come first
}

function parametersOf(asked, study) {
  const order = asked.order || firstOrder(asked.sort, study);
  const parameters = [
    ["sort", asked.sort],
    ["order", order],
    ["offset", asked.offset],
    ["count", COUNT],
  ];
  for (const name of ["search", "status", "rung", "origin"])
    if (asked[name] !== "") parameters.push([name, asked[name]]);
  return [...parameters, ...asked.where.map(({ name, low, high }) => ["where", `${name}:${low}:${high}`])];
}

function countOf({ total, matching }, { offset }) {
  if (!matching) return total ? `none of ${plural(total, "trial")} fits` : "no trial yet";
  const last = Math.min(matching, offset + COUNT);
  const of =
    matching < total ? `${plural(matching, "trial")} that fit, of ${countText(total)}` : plural(total, "trial");
  return `${countText(offset + 1)} to ${countText(last)} of ${of}`;
}

function trialsTable({ columns, rows }, asked, study, sort) {
  const { metric } = study.objective;
  const fixed = [
    ["number", "trial"],
    ["status", "state"],
    ["value", metric],
    ["resource", `${study.unit}s`],
    ["seconds", "time"],
  ];
  const order = asked.order || firstOrder(asked.sort, study);
  const heads = [...fixed, ...columns.map((name) => [name, name])].map(([name, title]) => {
    const isSorted = asked.sort === name;
    const next = !isSorted ? firstOrder(name, study) : order === "asc" ? "desc" : "asc";
    const arrow = isSorted ? (order === "asc" ? " ↑" : " ↓") : "";
    return element(
      "th",
      {
        scope: "col",
        class: name === "status" && "text",
        "aria-sort": isSorted ? (order === "asc" ? "ascending" : "descending") : null,
      },
      element(
        "button",
        { class: "plain", "data-key": `sort ${name}`, onclick: () => sort(name, next) },
        shortened(title, 24),
        element("span", { "aria-hidden": "true", text: arrow }),
      ),
    );
  });
  const best = study.parts.head?.best?.trial;
  const body = rows.map((row) =>
    element(
      "tr",
      { class: row.trial === best && "bold" },
      element("th", { scope: "row" }, trialLink(row.trial, String(row.trial))),
      element("td", { class: "state" }, stateMark(row.status), row.reason && ` ${shortened(row.reason, 60)}`),
      element("td", { text: row.value === null ? "" : numberText(row.value) }),
      element("td", { text: countText(row.resource) }),
      element("td", { text: isNumber(row.seconds) ? secondsText(row.seconds) : "" }),
      columns.map((name) => element("td", { text: valueOf(row, name) })),
    ),
  );
  return scrolling(
    "Trials",
    element("table", { class: "trials" }, element("thead", {}, element("tr", {}, heads)), element("tbody", {}, body)),
  );
}

/** Return the value of a hyperparameter in a row, nothing where it is not active. */
function valueOf({ configuration }, name) {
  return Object.hasOwn(configuration, name) ? shortened(valueText(configuration[name]), 24) : "";
}

/** Return a state as a word with a mark in its colour. */
export function stateMark(status, text = status) {
  return element("span", { class: "mark-of-state", "data-state": status, text });
}

function turnPages(pages, { matching }, asked, turn) {
  const last = Math.max(0, Math.floor((matching - 1) / COUNT) * COUNT);
  const button = (text, offset, isOff) => {
    const made = element("button", { text, "data-key": `page ${text}`, onclick: () => turn(offset) });
    set(made, { disabled: isOff });
    return made;
  };
  pages.hidden = matching <= COUNT;
  const { offset } = asked;
  const hadFocus = pages.contains(document.activeElement);
  replaceChildren(
    pages,
    button("First", 0, !offset),
    button("Previous", Math.max(0, offset - COUNT), !offset),
    button("Next", offset + COUNT, offset >= last),
    button("Last", last, offset >= last),
  );
  // What is off at an end cannot keep the focus: the other direction takes it.
  if (hadFocus && !pages.contains(document.activeElement))
    pages.querySelector(`[data-key="page ${offset ? "Previous" : "Next"}"]`).focus({ preventScroll: true });
}
