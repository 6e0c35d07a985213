// The table of trials. The server searches, sorts and filters; the page shows a part of the result.

import { keep } from "../page/address.js";
import { button, element, replaceChildren, setText, table, trialLink } from "../page/dom.js";
import { newSection } from "../page/section.js";
import { countText, isNumber, plural, secondsText, shortened, valueText } from "../page/text.js";
import { choose, colorOf, FULL, isChosen, isFull, onChosen } from "../study/chosen.js";
import { SAVED } from "../study/saved.js";
import { HELP, newFilters } from "./trial_filters.js";

/** The query for all trials, the best first. */
export const ALL = { search: "", sort: "value", order: "", status: "", rung: "", origin: "", like: "", where: [], offset: 0 };
const COUNT = 25;
/** Milliseconds before the table may be asked for again; a table is cheap for the server. */
const EVERY = 3000;
/** The event with which other views change the query: its detail has parts of the query. */
export const FILTER = "ashtune-filter";
/** The event after a change of the query; its detail is the query. */
export const RANGES = "ashtune-ranges";

export function trials(study) {
  const lead = "Click a row to open its trial; tick it to compare the trial. A paused trial has a result, but no promotion so far.";
  const section = newSection(study, "trials", "Trials", lead);
  const asked = queryIn(SAVED ? "" : location.search);
  const place = element("div");
  const count = element("p.quiet", { role: "status" });
  const pages = element("div.pages");
  const file = element("a.asks", { download: "trials.csv" }, "Download them as CSV");
  const filters = newFilters(study, asked, () => change({}));
  section.body.append(filters.element, filters.chips, count, place, pages, element("p.links", chosenLink(), file));

  const refuse = (line) => {
    if (!line) return;
    setText(count, line);
    replaceChildren(place);
    pages.hidden = file.hidden = true;
  };
  const consider = section.askWhenSeen(
    () => ["trials", parametersOf(asked, study)],
    (/** @type {Answers["trials"]} */ answer, [, parameters]) => {
      filters.offerKinds(answer);
      setText(count, countOf(answer, asked));
      replaceChildren(place, trialsTable(answer, asked, study, (sort, order) => change({ sort, order })));
      file.hidden = !answer.matching;
      file.href = `api/studies/${study.number}/csv?${new URLSearchParams(parameters)}`;
      turnPages(pages, answer, asked, (offset) => change({ offset }));
    },
    { every: EVERY, refuse },
  );
  /** Change the query. Another one than the next page begins at the first trial. */
  const change = (changes) => {
    Object.assign(asked, { offset: 0 }, changes);
    if (!SAVED) keepQuery(asked);
    filters.showChips();
    consider();
    dispatchEvent(new CustomEvent(RANGES, { detail: asked }));
  };
  addEventListener(FILTER, (event) => {
    change(/** @type {CustomEvent} */ (event).detail);
    filters.showQuery();
  });
  return section;
}

function firstOrder(name, study) {
  return name === "value" && study.objective.mode === "max" ? "desc" : "asc"; // the best, and the first, come first
}

/**
 * Return the query in the page's address, so that a reload or another reader sees the same trials. The query is not in
 * the hash, because links to sections and trials change the hash.
 */
export function queryIn(search) {
  const given = new URLSearchParams(search);
  const where = given.getAll("where").map((text) => /^(.*):(.*):(.*)$/s.exec(text) ?? []);
  const one = Object.keys(ALL).map((name) => [name, given.get(name) ?? ALL[name]]);
  return {
    ...Object.fromEntries(one),
    offset: Math.max(0, Math.floor(Number(given.get("offset"))) || 0),
    where: where.filter(({ length }) => length).map(([, name, low, high]) => ({ name, low, high })),
  };
}

function keepQuery(asked) {
  const one = Object.entries(ALL).map(([name, value]) => [name, asked[name] === value ? "" : asked[name]]);
  keep({ ...Object.fromEntries(one), where: asked.where.map(whereText) });
}

function whereText({ name, low, high }) {
  return `${name}:${low}:${high}`;
}

/** Return the query as parameters of a question. */
export function parametersOf(asked, study) {
  const { where, ...one } = { ...asked, order: asked.order || firstOrder(asked.sort, study), count: COUNT };
  const given = Object.entries(one).filter(([, value]) => value !== "");
  return [...given, ...where.map((each) => ["where", whereText(each)])];
}

function countOf({ total, matching, saved = matching }, { offset, search }) {
  if (!total) return "no trial yet";
  if (!matching) return `none of ${plural(total, "trial")} fits${search ? `. ${HELP}` : ""}`;
  const last = Math.min(matching, offset + COUNT);
  const of =
    matching < total ? `${plural(matching, "trial")} that fit, of ${countText(total)}` : plural(total, "trial");
  const more = saved < matching ? `; the first ${countText(saved)} are in this saved page` : "";
  return `${countText(offset + 1)} to ${countText(last)} of ${of}${more}`;
}

/** @param {Answers["trials"]} answer */
function trialsTable({ columns, metrics, rows }, asked, study, sort) {
  const order = asked.order || firstOrder(asked.sort, study);
  const isUp = order === "asc";
  const head = (name, title = name) => {
    const isSorted = asked.sort === name;
    const reverse = isUp ? "desc" : "asc";
    const next = isSorted ? reverse : firstOrder(name, study);
    const arrow = element("span", { "aria-hidden": "true" }, isUp ? " ↑" : " ↓");
    const attributes = { class: "plain", "data-key": `sort ${name}`, disabled: SAVED !== null };
    return element(
      "th",
      { scope: "col", class: name === "status" && "text", "aria-sort": isSorted && (isUp ? "ascending" : "descending") },
      button([shortened(title, 24), isSorted && arrow], () => sort(name, next), attributes),
    );
  };
  const best = study.parts.head?.best?.trial;
  const heads = [
    head("number", "trial"),
    head("status", "state"),
    head("value", study.objective.metric),
    ...metrics.slice(1).map((name) => head(name)),
    head("resource", `${study.unit}s`),
    head("seconds", "time"),
    ...columns.map((name) => head(name)),
  ];
  const cells = rows.map((row) => [
    element("th", { scope: "row", class: row.trial === best && "bold" }, chooser(row.trial), trialLink(row.trial, String(row.trial))),
    element("td.state", stateMark(row.status, stateText(row.status, study)), row.reason && ` ${shortened(row.reason, 60)}`),
    ...metrics.map((name) => (isNumber(row.metrics[name]) ? study.metricText(name, row.metrics[name]) : "")),
    countText(row.resource),
    isNumber(row.seconds) ? secondsText(row.seconds) : "",
    ...columns.map((name) =>
      Object.hasOwn(row.configuration, name) ? shortened(valueText(row.configuration[name]), 24) : "",
    ),
  ]);
  return table("All trials", heads, cells, { class: "trials", onclick: openRow });
}

/** Open the trial of a row. A click on a link, and the end of a selection of text, are no click on the row. */
function openRow({ target }) {
  if (!target.closest("a, button, input") && !String(getSelection())) target.closest("tbody tr")?.querySelector("a").click();
}

/** Return a box that chooses a trial. */
export function chooser(trial) {
  const attributes = { class: "chooser", "data-trial": trial, "data-key": `choose ${trial}`, "aria-label": `Compare trial ${trial}` };
  const box = element("input", { type: "checkbox", ...attributes, onchange: () => choose(trial, box.checked) });
  showChoice(box);
  return box;
}

function showChoice(box) {
  const trial = Number(box.dataset.trial);
  box.checked = isChosen(trial);
  box.disabled = !box.checked && isFull();
  box.title = box.disabled ? FULL : "";
  box.style.accentColor = box.checked ? `var(${colorOf(trial)})` : "";
}

onChosen(() => document.querySelectorAll(".chooser").forEach(showChoice));

/** Return a link to the chosen trials. */
export function chosenLink() {
  return element("a", { href: "#chosen" }, "See the chosen trials side by side");
}

/** Return the word for a trial's state. Once the driver has ended, no trial runs. */
export function stateText(status, { parts: { head } }) {
  return status === "running" && ["died", "stopped"].includes(head?.state) ? "interrupted" : status;
}

/** Return a state as a word with a mark in the state's colour. */
export function stateMark(status, text = status) {
  return element("span.mark-of-state", { "data-state": status }, text);
}

function turnPages(pages, { matching, saved = matching }, { offset }, turn) {
  const last = Math.max(0, Math.floor((Math.min(matching, saved) - 1) / COUNT) * COUNT);
  const offsets = { First: 0, Previous: Math.max(0, offset - COUNT), Next: Math.min(last, offset + COUNT), Last: last };
  pages.hidden = matching <= COUNT;
  replaceChildren(
    pages,
    Object.entries(offsets).map(([text, to]) =>
      // A disabled button would lose the focus.
      button(text, () => turn(to), { "data-key": `page ${text}`, "aria-disabled": to === offset && "true" }),
    ),
  );
}
