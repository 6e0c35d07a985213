// The controls above the table of trials: a search field, filters, and ranges of hyperparameters and of the value.

import { button, element, fillOptions, form, replaceChildren } from "../page/dom.js";
import { capital, numberText, plural, shortened, valueText } from "../page/text.js";

/** Milliseconds after the last key, or the last change of a range, before the search begins. */
export const PAUSE = 250;
export const HELP =
  "Search for a trial (50), a text (adam, a reason), or comparisons (accuracy>0.9 width=64); all words must fit.";

/** The search field, the filters, the form for a range of a hyperparameter or the value, and the current ranges. */
export class Filters {
  /** @param asked The query to the server; it is changed here. @param change Called after a change. */
  constructor(study, asked, change) {
    this._study = study;
    this._asked = asked;
    this._change = change;
    let wait = 0;
    const search = element("input", {
      type: "search",
      placeholder: "Search: 50, adam, accuracy>0.9, a reason …",
      "aria-label": "Search the trials",
      title: HELP,
      oninput: () => {
        clearTimeout(wait);
        wait = setTimeout(() => this._set("search", search.value.trim()), PAUSE);
      },
    });
    this._search = search;
    const select = (name) => {
      const made = element("select", { "aria-label": capital(name), onchange: () => this._set(name, made.value) });
      return made;
    };
    this._status = select("status");
    this._rung = select("rung");
    this._origin = select("origin");
    this._name = element("select", {
      "aria-label": "Hyperparameter or metric of the range",
      onchange: () => this._offerValues(),
    });
    this._low = element("input", { type: "number", step: "any", placeholder: "from", "aria-label": "From" });
    this._high = element("input", { type: "number", step: "any", placeholder: "to", "aria-label": "To" });
    this._choice = element("select", { "aria-label": "Choice", hidden: true });
    const range = form([this._name, this._low, this._high, this._choice], "Add range", () => this._add());
    this.element = element("div.controls.asks", search, this._status, this._rung, this._origin, range);
    this.chips = element("ul.chips");
    this.showQuery();
  }

  /** Show the query in the fields. */
  showQuery() {
    const { search, status, rung, origin } = this._asked;
    [this._search.value, this._status.value, this._rung.value, this._origin.value] = [search, status, rung, origin];
  }

  /** Set the options for rungs and hyperparameters, once they are known. */
  offer() {
    const { ladder, head } = this._study.parts;
    const rungs = ladder.resources.map((resource, rung) => [
      String(rung),
      `rung ${rung}: ${plural(resource, head.unit)}`,
    ]);
    fillOptions(this._rung, [["", "any rung"], ...rungs], this._asked.rung);
    const names = [...head.objectives.map(({ metric }) => metric), ...this._study.names];
    const options = names.map((name) => [name, shortened(name, 40)]);
    if (fillOptions(this._name, options)) this._offerValues();
  }

  /** Set the options for the server's states and origins. @param {Answers["trials"]} answer */
  offerKinds({ statuses, origins }) {
    const options = (any, kinds) => [["", any], ...Object.keys(kinds).map((each) => [each, each])];
    fillOptions(this._status, options("any state", statuses), this._asked.status);
    fillOptions(this._origin, options("any origin", origins), this._asked.origin);
  }

  /** Show the current ranges, each with a button that removes it. */
  showChips() {
    const chip = (range) => {
      const remove = () => {
        this._asked.where = this._asked.where.filter((each) => each !== range);
        this._change();
      };
      const attributes = {
        class: "plain",
        "aria-label": `Remove the range of ${shortened(range.name, 40)}`,
        "data-key": `where ${range.name}`,
      };
      const words = `${shortened(range.name, 30)} ${rangeText(range, this._choicesOf(range.name))} `;
      return element("li", words, button("×", remove, attributes));
    };
    const { like } = this._asked;
    const all = button("×", () => this._set("like", ""), { class: "plain", "aria-label": "Show all reasons" });
    const alike = like !== "" && element("li", `ended for the reason of trial ${like} `, all);
    replaceChildren(this.chips, alike, this._asked.where.map(chip));
  }

  _set(name, value) {
    if (this._asked[name] === value) return;
    this._asked[name] = value;
    this._change();
  }

  _offerValues() {
    const choices = this._choicesOf(this._name.value);
    const options = (choices ?? []).map((choice, place) => [String(place), shortened(valueText(choice), 40)]);
    fillOptions(this._choice, options);
    this._choice.hidden = choices === null;
    this._low.hidden = this._high.hidden = choices !== null;
  }

  _add() {
    const name = this._name.value;
    const [from, to] = this._choice.hidden ? [this._low, this._high] : [this._choice, this._choice];
    const [low, high] = [from.value, to.value];
    if (low === "" && high === "") return;
    this._asked.where = [...this._asked.where.filter((each) => each.name !== name), { name, low, high }];
    this._low.value = this._high.value = "";
    this._change();
  }

  /** Return the choices of a hyperparameter, or null if it has no choices. */
  _choicesOf(name) {
    const of = this._study.parts.space?.hyperparameters.find((each) => each.name === name);
    return of && ["choice", "ordinal"].includes(of.type) ? of.choices : null;
  }
}

/** Return a range as text; for choices, `low` and `high` are indices, and the text has their names. */
export function rangeText({ low, high }, choices) {
  if (choices) {
    const within = choices.slice(Math.ceil(Number(low)), high === "" ? undefined : Math.floor(Number(high)) + 1);
    return shortened(within.map(valueText).join(" or "), 40);
  }
  const ends = [low !== "" && `from ${numberText(Number(low))}`, high !== "" && `to ${numberText(Number(high))}`];
  return ends.filter(Boolean).join(" ");
}
