// The table of trials. The server searches, sorts and filters; the page has one leaf of it at a time.

import { element, replaceChildren, scrolling, set, setText, trialLink } from "../page/dom.js";
import { Section } from "../page/section.js";
import { capital, countText, isNumber, numberText, plural, secondsText, shortened, valueText } from "../page/text.js";

const COUNT = 25;
/** The table may be asked for again after so many milliseconds: it costs the server little. */
const EVERY = 3000;
const STATUSES = ["running", "paused", "trained to the top", "failed", "withdrawn", "ended early"];
const ORIGINS = ["model", "mutation", "random", "enqueued", "other"];
/** The event by which other views ask for a filter: its detail is a list of `{name, low, high}`. */
export const FILTER = "ashtune-filter";

export function trials(study) {
  const section = new Section("trials", "Trials");
  const asked = { search: "", sort: "value", order: "", status: "", rung: "", origin: "", where: [], offset: 0 };
  const place = element("div");
  const count = element("p", { class: "quiet", role: "status" });
  const chips = element("ul", { class: "chips" });
  const pages = element("div", { class: "pages" });
  const controls = new Controls(study, asked, () => change({}));
  section.body.append(controls.element, chips, count, place, pages);

  const question = () => (study.parts.head?.tried || study.parts.head?.running ? ["trials", parametersOf(asked, study)] : null);
  const consider = section.askWhenSeen(study, question, (answer) => {
    setText(count, countOf(answer, asked));
    replaceChildren(place, trialsTable(answer, asked, study, (sort, order) => change({ sort, order })));
    turnPages(pages, answer, asked, (offset) => change({ offset }, true));
  }, { every: EVERY });
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

function parametersOf(asked, study) {
  const order = asked.order || (asked.sort === "value" && study.objective.mode === "max" ? "desc" : "asc");
  const parameters = [["sort", asked.sort], ["order", order], ["offset", asked.offset], ["count", COUNT]];
  for (const name of ["search", "status", "rung", "origin"]) if (asked[name] !== "") parameters.push([name, asked[name]]);
  return [...parameters, ...asked.where.map(({ name, low, high }) => ["where", `${name}:${low}:${high}`])];
}

/** The search field, the filters, and the form for a range of a hyperparameter or of the value. */
class Controls {
  constructor(study, asked, change) {
    this._study = study;
    this._asked = asked;
    this._change = change;
    let wait = 0;
    const search = element("input", {
      type: "search", placeholder: "Search: a number, a value, a reason …", "aria-label": "Search the trials",
      oninput: () => {
        clearTimeout(wait);
        wait = setTimeout(() => this._set("search", search.value.trim()), 250);
      },
    });
    this._status = this._select("status", "any state", STATUSES.map((each) => [each, each]));
    this._rung = this._select("rung", "any rung", []);
    this._origin = this._select("origin", "any origin", ORIGINS.map((each) => [each, each]));
    this._name = element("select", { "aria-label": "Hyperparameter or metric of the range", onchange: () => this._offerValues() });
    this._low = element("input", { type: "number", step: "any", placeholder: "from", "aria-label": "From" });
    this._high = element("input", { type: "number", step: "any", placeholder: "to", "aria-label": "To" });
    this._choice = element("select", { "aria-label": "Choice", hidden: true });
    const range = element(
      "form", { class: "choice", onsubmit: (event) => this._add(event) }, this._name, this._low, this._high, this._choice, element("button", { text: "Add range" }),
    );
    this.element = element("div", { class: "controls" }, search, this._status, this._rung, this._origin, range);
  }

  /** Offer the rungs and hyperparameters, once they are known. */
  offer() {
    const { space, ladder, head } = this._study.parts;
    fillOptions(this._rung, [["", "any rung"], ...ladder.rungs.map((rung, number) => [String(number), `rung ${number}: ${plural(rung.resource, head.unit)}`])]);
    const names = [...head.objectives.map(({ metric }) => metric), ...space.hyperparameters.filter(({ type }) => type !== "constant").map(({ name }) => name)];
    if (fillOptions(this._name, names.map((name) => [name, name]))) this._offerValues();
  }

  _select(name, any, options) {
    const select = element("select", { "aria-label": capital(name), onchange: () => this._set(name, select.value) });
    fillOptions(select, [["", any], ...options]);
    return select;
  }

  _set(name, value) {
    if (this._asked[name] === value) return;
    this._asked[name] = value;
    this._change();
  }

  _offerValues() {
    const choices = choicesOf(this._study, this._name.value);
    fillOptions(this._choice, (choices ?? []).map((choice, place) => [String(place), valueText(choice)]));
    this._choice.hidden = choices === null;
    this._low.hidden = this._high.hidden = choices !== null;
  }

  _add(event) {
    event.preventDefault();
    const name = this._name.value;
    const [low, high] = this._choice.hidden ? [this._low.value, this._high.value] : [this._choice.value, this._choice.value];
    if (low === "" && high === "") return;
    this._asked.where = [...this._asked.where.filter((each) => each.name !== name), { name, low, high }];
    this._low.value = this._high.value = "";
    this._change();
  }
}

/** Return the choices of a hyperparameter, or null if it has none. */
function choicesOf(study, name) {
  const hyperparameter = study.parts.space?.hyperparameters.find((each) => each.name === name);
  return hyperparameter && ["choice", "ordinal"].includes(hyperparameter.type) ? hyperparameter.choices : null;
}

/** Put options into a select, if they are others than before. Return whether they were. */
function fillOptions(select, options) {
  const shown = JSON.stringify(options);
  if (select.dataset.shown === shown) return false;
  const { value } = select;
  select.dataset.shown = shown;
  select.replaceChildren(...options.map(([each, text]) => element("option", { value: each, text })));
  if (options.some(([each]) => each === value)) select.value = value;
  return true;
}

function showChips(chips, asked, study, change) {
  replaceChildren(chips, asked.where.map((range) => {
    const { name, low, high } = range;
    const choices = choicesOf(study, name);
    const words = choices ? listedChoices(choices, low, high) : [low === "" ? "" : `from ${numberText(Number(low))}`, high === "" ? "" : `to ${numberText(Number(high))}`].filter(Boolean).join(" ");
    const remove = () => {
      asked.where = asked.where.filter((each) => each !== range);
      change();
    };
    return element("li", {}, `${shortened(name, 30)} ${words} `, element("button", { class: "plain", "aria-label": `Remove the range of ${name}`, "data-key": `where ${name}`, text: "×", onclick: remove }));
  }));
}

function listedChoices(choices, low, high) {
  const within = choices.slice(Math.ceil(Number(low)), high === "" ? undefined : Math.floor(Number(high)) + 1);
  return shortened(within.map(valueText).join(" or "), 40);
}

function countOf({ total, matching }, { offset }) {
  if (!matching) return total ? `none of ${plural(total, "trial")} fits` : "no trial yet";
  const last = Math.min(matching, offset + COUNT);
  const of = matching < total ? `${plural(matching, "trial")} that fit, of ${countText(total)}` : plural(total, "trial");
  return `${countText(offset + 1)} to ${countText(last)} of ${of}`;
}

function trialsTable({ columns, rows }, asked, study, sort) {
  const { metric } = study.objective;
  const fixed = [["number", "trial"], ["status", "state"], ["value", metric], ["resource", `${study.unit}s`], ["seconds", "time"]];
  const order = asked.order || (asked.sort === "value" && study.objective.mode === "max" ? "desc" : "asc");
  const heads = [...fixed, ...columns.map((name) => [name, name])].map(([name, title]) => {
    const isSorted = asked.sort === name;
    const next = isSorted && order === "asc" ? "desc" : isSorted ? "asc" : name === "value" && study.objective.mode === "max" ? "desc" : "asc";
    const arrow = isSorted ? (order === "asc" ? " ↑" : " ↓") : "";
    return element(
      "th", { scope: "col", class: name === "status" && "text", "aria-sort": isSorted ? (order === "asc" ? "ascending" : "descending") : null },
      element("button", { class: "plain", "data-key": `sort ${name}`, onclick: () => sort(name, next) }, shortened(title, 24), element("span", { "aria-hidden": "true", text: arrow })),
    );
  });
  const best = study.parts.head?.best?.trial;
  const body = rows.map((row) => element(
    "tr", { class: row.trial === best && "bold" }, element("th", { scope: "row" }, trialLink(row.trial, String(row.trial))),
    element("td", { class: "state" }, stateMark(row.status)), element("td", { text: row.value === null ? "" : numberText(row.value) }), element("td", { text: countText(row.resource) }),
    element("td", { text: isNumber(row.seconds) ? secondsText(row.seconds) : "" }),
    columns.map((name) => element("td", { text: name in row.configuration ? shortened(valueText(row.configuration[name]), 24) : "" })),
  ));
  return scrolling("Trials", element("table", { class: "trials" }, element("thead", {}, element("tr", {}, heads)), element("tbody", {}, body)));
}

/** Return a state as a coloured word. */
export function stateMark(status) {
  return element("span", { class: "mark-of-state", "data-state": status, text: status });
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
  replaceChildren(pages, button("First", 0, !offset), button("Previous", Math.max(0, offset - COUNT), !offset), button("Next", offset + COUNT, offset >= last), button("Last", last, offset >= last));
}
