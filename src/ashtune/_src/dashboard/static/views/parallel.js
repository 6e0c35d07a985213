// Parallel coordinates: a line for each trial through its hyperparameters, its rung and its result.
//
// The user can select (brush) a range on each axis: only lines within all ranges keep their colour. With a pointer, a
// range is drawn along its axis; with the keyboard, its two ends are set by the sliders below.

import { button, element, folded, replaceChildren, set, setText, trialLink } from "../page/dom.js";
import { newFigure } from "../page/figure.js";
import { newSection } from "../page/section.js";
import { countText, plural } from "../page/text.js";
import { chooseOnly } from "../study/chosen.js";
import { SAVED } from "../study/saved.js";
import { newCoordinates } from "./coordinates.js";
import { PAUSE } from "./trial_filters.js";
import { FILTER, queryIn, RANGES } from "./trials.js";

const NAMED = 5;

export function parallel(study) {
  const section = newSection(
    study,
    "parallel",
    "All hyperparameters at once",
    "Each line is a trial; the best is the brightest. Drag along an axis to keep only the lines that cross it there.",
    "Parallel",
  );
  section.isEmpty = () => !study.hasResult || study.names.length < 1;
  const figure = newFigure("", "Parallel coordinates");
  set(figure.place, { class: "plot wide", tabindex: 0 });
  let wait = 0;
  /** The axes whose ranges have changed since the table was told. */
  const changed = new Set();
  /** The ranges of the table, which are also the brushes here. */
  let { where } = queryIn(SAVED ? "" : location.search);
  const coordinates = newCoordinates(figure.place, (names) => {
    say();
    if (SAVED) return;
    for (const name of names) changed.add(name);
    clearTimeout(wait);
    wait = setTimeout(filter, PAUSE);
  });
  const filter = () => {
    wait = 0;
    where = [...where.filter(({ name }) => !changed.has(name)), ...coordinates.ranges(changed)];
    changed.clear();
    dispatchEvent(new CustomEvent(FILTER, { detail: { where } }));
  };
  const count = element("p.quiet", { role: "status" });
  const best = element("p");
  const clear = button("Clear all ranges", () => coordinates.clear());
  const list = element("a.asks", { href: "#trials" }, "See them in the table");
  const bestWithin = () => coordinates.within().slice(0, NAMED);
  const sideBySide = button("See the best side by side", () => {
    chooseOnly(bestWithin().map(({ trial }) => trial));
    location.hash = "#chosen";
  });
  figure.canvas = coordinates.canvas;
  section.body.append(
    figure.element,
    count,
    best,
    element("p.choice", clear, list, sideBySide),
    folded("Ranges by sliders", "ranges", coordinates.sliders),
  );

  let all = "";
  const say = () => {
    const isBrushed = coordinates.isBrushed();
    setText(count, isBrushed && `${countText(coordinates.within().length)} of ${all} within the ranges`);
    const links = bestWithin().map(({ trial, values }) => [trialLink(trial), ` (${study.resultText(values.at(-1))}) `]);
    replaceChildren(best, links.length > 0 && "The best of them: ", ...links);
    sideBySide.hidden = links.length < 2;
    clear.disabled = list.hidden = !isBrushed;
  };
  section.askWhenSeen(
    () => ["parallel"],
    (/** @type {Answers["parallel"]} */ { figure: answer }) => {
      all = plural(answer.trials.length, "trial");
      coordinates.draw(answer, study);
      if (!SAVED && !wait) coordinates.brush(where);
      section.say(answer.notes.join("; "));
      say();
      figure.describe(`Parallel coordinates of ${all} over ${answer.axes.length} axes.`, coordinates.table);
    },
  );
  addEventListener(RANGES, (event) => {
    ({ where } = /** @type {CustomEvent} */ (event).detail);
    coordinates.brush(where);
    say();
  });
  return section;
}
