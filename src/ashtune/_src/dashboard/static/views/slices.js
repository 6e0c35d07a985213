// The result over each hyperparameter: one small figure each, with points in the colours of their rungs.

import { button, element, setText } from "../page/dom.js";
import { Figure, Legend } from "../page/figure.js";
import { Section } from "../page/section.js";
import { plural, shortened } from "../page/text.js";

const FIRST = 6;
/** A question has at most a hundred parameters, and nobody looks at more figures. */
const MOST = 60;

export function slices(study) {
  const section = new Section(
    "slices",
    "Slices",
    "The result over each hyperparameter. Where good points gather, values are good.",
  );
  const place = element("div", { class: "panels" });
  const legend = new Legend();
  const more = button("", () => showAll(), { hidden: true });
  section.body.append(legend.element, place, more);
  /** @type {Map<string, Figure>} */
  const figures = new Map();
  let count = FIRST;

  const names = () => byImportance(study).slice(0, MOST);
  const question = () =>
    study.parts.head?.best && names().length
      ? [
          "slices",
          names()
            .slice(0, count)
            .map((name) => ["name", name]),
        ]
      : null;
  const consider = section.askWhenSeen(study, question, (/** @type {Answers["slices"]} */ answer) => {
    legend.show(Object.entries(answer.colors).map(([name, color]) => [color, name]));
    section.say(answer.notes.join(" "));
    const shown = Object.entries(answer.panels).map(([name, panel]) => {
      const figure = figures.get(name) ?? new Figure(shortened(name, 40));
      figures.set(name, figure);
      figure.show(panel, true);
      return figure.element;
    });
    if (shown.some((each, number) => place.children[number] !== each)) place.replaceChildren(...shown);
    more.hidden = names().length <= count;
    setText(more, `Show ${plural(names().length, "hyperparameter")}`);
  });
  const showAll = () => {
    count = MOST;
    more.hidden = true;
    consider();
  };
  return section;
}

/** Return the names of the hyperparameters that are not constant, most important first if known. */
export function byImportance({ names, important }) {
  const place = (name) => (important.includes(name) ? important.indexOf(name) : important.length + names.indexOf(name));
  return [...names].sort((a, b) => place(a) - place(b));
}
