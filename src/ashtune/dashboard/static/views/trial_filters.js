// The controls above the table of trials: a search field, filters, and ranges of hyperparameters and of the value.

import { element, replaceChildren } from "../page/dom.js";
import { capital, numberText, plural, shortened, valueText } from "../page/text.js";

const STATUSES = ["running", "paused", "trained to the top", "failed", "withdrawn", "ended early"];
const ORIGINS = ["model", "mutation", "random", "enqueued", "other"];
/** After so many milliseconds without a key the search begins. */
const PAUSE = 250;

/** The search field, the filters, and the form for a range of a hyperparameter or of the value. */
export class Filters {
  constructor(study, asked, change) {
    this._study = study;
    this._asked = asked;
    this._change = change;
    let wait = 0;
    const search = element("input", {
      type: "search",
      placeholder: "Search: a number, a value, a reason …",
      "aria-label": "Search the trials",
      oninput: () => {
        clearTimeout(wait);
        wait = setTimeout(() => this._set("search", search.value.trim()), PAUSE);
      },
    });
    this._status = this._select(
      "status",
      "any state",
      STATUSES.map((each) => [each, each]),
    );
    this._rung = this._select("rung", "any rung", []);
    this._origin = this._select(
      "origin",
      "any origin",
      ORIGINS.map((each) => [each, each]),
    );
    this._name = element("select", {
      "aria-label": "Hyperparameter or metric of the range",
      onchange: () => this._offerValues(),
    });
    this._low = element("input", { type: "number", step: "any", placeholder: "from", "aria-label": "From" });
    this._high = element("input", { type: "number", step: "any", placeholder: "to", "aria-label": "To" });
    this._choice = element("select", { "aria-label": "Choice", hidden: true });
    const range = element(
      "form",
      { class: "choice", onsubmit: (event) => this._add(event) },
      this._name,
      this._low,
      this._high,
      this._choice,
      element("button", { text: "Add range" }),
    );
    this.element = element("div", { class: "controls" }, search, this._status, this._rung, this._origin, range);
  }

  /** Offer the rungs and hyperparameters, once they are known. */
  offer() {
    const { space, ladder, head } = this._study.parts;
    fillOptions(this._rung, [
      ["", "any rung"],
      ...ladder.rungs.map((rung, number) => [String(number), `rung ${number}: ${plural(rung.resource, head.unit)}`]),
    ]);
    const names = [
      ...head.objectives.map(({ metric }) => metric),
      ...space.hyperparameters.filter(({ type }) => type !== "constant").map(({ name }) => name),
    ];
    if (
      fillOptions(
        this._name,
        names.map((name) => [name, shortened(name, 40)]),
      )
    )
      this._offerValues();
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
    fillOptions(
      this._choice,
      (choices ?? []).map((choice, place) => [String(place), shortened(valueText(choice), 40)]),
    );
    this._choice.hidden = choices === null;
    this._low.hidden = this._high.hidden = choices !== null;
  }

  _add(event) {
    event.preventDefault();
    const name = this._name.value;
    const [low, high] = this._choice.hidden
      ? [this._low.value, this._high.value]
      : [this._choice.value, this._choice.value];
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

/** Show the ranges that are set, each with a button that removes it. */
export function showChips(chips, asked, study, change) {
  replaceChildren(
    chips,
    asked.where.map((range) => {
      const { name, low, high } = range;
      const choices = choicesOf(study, name);
      const words = choices
        ? listedChoices(choices, low, high)
        : [low === "" ? "" : `from ${numberText(Number(low))}`, high === "" ? "" : `to ${numberText(Number(high))}`]
            .filter(Boolean)
            .join(" ");
      const remove = () => {
        asked.where = asked.where.filter((each) => each !== range);
        change();
      };
      return element(
        "li",
        {},
        `${shortened(name, 30)} ${words} `,
        element("button", {
          class: "plain",
          "aria-label": `Remove the range of ${shortened(name, 40)}`,
          "data-key": `where ${name}`,
          text: "×",
          onclick: remove,
        }),
      );
    }),
  );
}

function listedChoices(choices, low, high) {
  const within = choices.slice(Math.ceil(Number(low)), high === "" ? undefined : Math.floor(Number(high)) + 1);
  return shortened(within.map(valueText).join(" or "), 40);
}
