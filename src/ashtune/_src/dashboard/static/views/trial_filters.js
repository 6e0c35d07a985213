// The controls above the table of trials: a search field, filters, and ranges of hyperparameters and of the value.

import { element, fillOptions, form, remover, replaceChildren } from "../page/dom.js";
import { capital, numberText, plural, shortened, valueText } from "../page/text.js";

/** Milliseconds after the last key, or the last change of a range, before the search begins. */
export const PAUSE = 250;
export const HELP =
  "Search for a trial (50), a text (adam, a reason), or comparisons (accuracy>0.9 width=64); all words must fit.";

/**
 * Return the search field, the filters, the form for a range of a hyperparameter or the value, and the current ranges.
 *
 * @param asked The query to the server; it is changed here. @param changed Called after a change.
 */
export function newFilters(study, asked, changed) {
  let wait = 0;
  const put = (name, value) => {
    if (asked[name] === value) return;
    asked[name] = value;
    changed();
  };
  const select = (name) =>
    element("select", { "aria-label": capital(name), onchange: ({ target }) => put(name, target.value) });
  const number = (title) => element("input", { type: "number", step: "any", placeholder: title, "aria-label": capital(title) });
  const search = element("input", {
    type: "search",
    placeholder: "Search: 50, adam, accuracy>0.9, a reason …",
    "aria-label": "Search the trials",
    title: HELP,
    oninput: () => {
      clearTimeout(wait);
      wait = setTimeout(() => put("search", search.value.trim()), PAUSE);
    },
  });
  /** The fields, by the names of what they ask for. */
  const fields = { search, status: select("status"), rung: select("rung"), origin: select("origin") };
  const name = element("select", { "aria-label": "Hyperparameter or metric of the range", onchange: offerValues });
  const low = number("from");
  const high = number("to");
  const choice = element("select", { "aria-label": "Choice", hidden: true });
  const add = () => {
    const ends = choice.hidden ? [low, high] : [choice, choice];
    const range = { name: name.value, low: ends[0].value, high: ends[1].value };
    if (range.low === "" && range.high === "") return;
    low.value = high.value = "";
    put("where", [...asked.where.filter((each) => each.name !== range.name), range]);
  };
  const chips = element("ul.chips");

  /** Return the choices of a hyperparameter, or null if it has no choices. */
  function choicesOf(parameter) {
    const of = study.parts.space?.hyperparameters.find((each) => each.name === parameter);
    return of && ["choice", "ordinal"].includes(of.type) ? of.choices : null;
  }

  function offerValues() {
    const choices = choicesOf(name.value);
    fillOptions(choice, (choices ?? []).map((each, place) => [String(place), shortened(valueText(each), 40)]));
    choice.hidden = choices === null;
    low.hidden = high.hidden = choices !== null;
  }

  /** Set the options of a filter: any, and the others. */
  function offer(filter, any, options) {
    fillOptions(fields[filter], [["", any], ...options], asked[filter]);
  }

  const filters = {
    element: element("div.controls.asks", Object.values(fields), form([name, low, high, choice], "Add range", add)),
    chips,

    /** Show the query in the fields. */
    showQuery() {
      for (const [filter, field] of Object.entries(fields)) field.value = asked[filter];
    },

    /** Set the options for the server's states and origins. @param {Answers["trials"]} answer */
    offerKinds({ statuses, origins }) {
      offer("status", "any state", Object.keys(statuses));
      offer("origin", "any origin", Object.keys(origins));
    },

    /** Show the current ranges, each with a button that removes it. */
    showChips() {
      const chip = (range) => {
        const words = `${shortened(range.name, 30)} ${rangeText(range, choicesOf(range.name))} `;
        const remove = () => put("where", asked.where.filter((each) => each !== range));
        return element("li", words, remover(`Remove the range of ${shortened(range.name, 40)}`, remove));
      };
      const all = remover("Show all reasons", () => put("like", ""));
      const alike = asked.like && element("li", `ended for the same reason as trial ${asked.like} `, all);
      replaceChildren(chips, alike, asked.where.map(chip));
    },
  };
  study.on(["space", "ladder", "head"], ({ ladder, head }) => {
    const rungs = ladder.resources.map((resource, rung) => [String(rung), `rung ${rung}: ${plural(resource, head.unit)}`]);
    offer("rung", "any rung", rungs);
    const names = [...head.objectives.map(({ metric }) => metric), ...study.names];
    if (fillOptions(name, names)) offerValues();
  });
  filters.showQuery();
  filters.showChips();
  return filters;
}

/** Return a range as text; for choices, `low` and `high` are indices, and the text has their names. */
export function rangeText({ low, high }, choices) {
  if (choices) {
    const within = choices.slice(Math.ceil(Number(low)), high === "" ? undefined : Math.floor(Number(high)) + 1);
    return shortened(within.map(valueText).join(" or "), 40);
  }
  const from = low !== "" && `from ${numberText(Number(low))}`;
  const to = high !== "" && `to ${numberText(Number(high))}`;
  return [from, to].filter(Boolean).join(" ");
}
