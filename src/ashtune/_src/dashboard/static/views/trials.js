// The table of trials. The server searches, sorts and filters; the page shows a part of the result.

import { button, element, replaceChildren, setText, table, trialLink } from "../page/dom.js";
import { Section } from "../page/section.js";
import { countText, isNumber, numberText, plural, secondsText, shortened, valueText } from "../page/text.js";
import { Filters } from "./trial_filters.js";

const COUNT = 25;
/** Milliseconds before the table may be asked for again; a table is cheap for the server. */
const EVERY = 3000;
/** The event with which other views request a filter: its detail is a list of `{name, low, high}`. */
export const FILTER = "ashtune-filter";

export function trials(study) {
  const section = new Section("trials", "Trials");
  const asked = { search: "", sort: "value", order: "", status: "", rung: "", origin: "", where: [], offset: 0 };
  const place = element("div");
  const count = element("p", { class: "quiet", role: "status" });
  const pages = element("div", { class: "pages" });
  const controls = new Filters(study, asked, () => change({}));
  section.body.append(controls.element, controls.chips, count, place, pages);

  const question = () =>
    study.parts.head?.tried || study.parts.head?.running ? ["trials", parametersOf(asked, study)] : null;
  const consider = section.askWhenSeen(
    study,
    question,
    (/** @type {Answers["trials"]} */ answer) => {
      controls.offerKinds(answer);
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
    controls.showChips();
    consider();
  };
  study.on(["space", "ladder", "head"], () => controls.offer());
  addEventListener(FILTER, (event) => {
    change({ where: /** @type {CustomEvent} */ (event).detail });
    section.element.scrollIntoView();
    section.element.focus({ preventScroll: true });
  });
  return section;
}

function firstOrder(name, study) {
  return name === "value" && study.objective.mode === "max" ? "desc" : "asc"; // the best, and the first, come first
}

/** Return the query as parameters of the address. */
export function parametersOf(asked, study) {
  const parameters = [
    ["sort", asked.sort],
    ["order", asked.order || firstOrder(asked.sort, study)],
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

/** @param {Answers["trials"]} answer */
function trialsTable({ columns, rows }, asked, study, sort) {
  const order = asked.order || firstOrder(asked.sort, study);
  const head = (name, title = name) => {
    const isSorted = asked.sort === name;
    const next = !isSorted ? firstOrder(name, study) : order === "asc" ? "desc" : "asc";
    const arrow = element("span", { "aria-hidden": "true", text: isSorted && (order === "asc" ? " ↑" : " ↓") });
    return element(
      "th",
      {
        scope: "col",
        class: name === "status" && "text",
        "aria-sort": isSorted && (order === "asc" ? "ascending" : "descending"),
      },
      element(
        "button",
        { class: "plain", "data-key": `sort ${name}`, onclick: () => sort(name, next) },
        shortened(title, 24),
        arrow,
      ),
    );
  };
  const best = study.parts.head?.best?.trial;
  const heads = [
    head("number", "trial"),
    head("status", "state"),
    head("value", study.objective.metric),
    head("resource", `${study.unit}s`),
    head("seconds", "time"),
    ...columns.map((name) => head(name)),
  ];
  const cells = rows.map((row) => [
    element("th", { scope: "row", class: row.trial === best && "bold" }, trialLink(row.trial, String(row.trial))),
    element("td", { class: "state" }, stateMark(row.status), row.reason && ` ${shortened(row.reason, 60)}`),
    row.value === null ? "" : numberText(row.value),
    countText(row.resource),
    isNumber(row.seconds) ? secondsText(row.seconds) : "",
    ...columns.map((name) =>
      Object.hasOwn(row.configuration, name) ? shortened(valueText(row.configuration[name]), 24) : "",
    ),
  ]);
  return table("Trials", heads, cells, { class: "trials" });
}

/** Return a state as a word with a mark in the state's colour. */
export function stateMark(status, text = status) {
  return element("span", { class: "mark-of-state", "data-state": status, text });
}

function turnPages(pages, { matching }, { offset }, turn) {
  const last = Math.max(0, Math.floor((matching - 1) / COUNT) * COUNT);
  const turner = (text, to, disabled) => button(text, () => turn(to), { "data-key": `page ${text}`, disabled });
  pages.hidden = matching <= COUNT;
  const hadFocus = pages.contains(document.activeElement);
  replaceChildren(
    pages,
    turner("First", 0, !offset),
    turner("Previous", Math.max(0, offset - COUNT), !offset),
    turner("Next", offset + COUNT, offset >= last),
    turner("Last", last, offset >= last),
  );
  // A button that is disabled at an end loses the focus: the other button gets it.
  if (hadFocus && !pages.contains(document.activeElement))
    pages.querySelector(`[data-key="page ${offset ? "Previous" : "Next"}"]`).focus({ preventScroll: true });
}
