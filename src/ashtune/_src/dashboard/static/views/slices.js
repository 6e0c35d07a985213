// The result over each hyperparameter: one small figure each, with points in the colours of their rungs.

import { keep, kept } from "../page/address.js";
import { button, element, setText } from "../page/dom.js";
import { newFigures, newLegend } from "../page/figure.js";
import { newSection } from "../page/section.js";
import { plural, shortened } from "../page/text.js";
import { valueChoice } from "./value.js";

/** A question has at most a hundred parameters, and nobody looks at more figures. */
const MOST = 60;

export function slices(study) {
  const section = newSection(
    study,
    "slices",
    "Slices",
    "The result over each hyperparameter. Where many good points are close together, the values are good.",
  );
  section.isEmpty = () => !study.hasResult || study.names.length < 1;
  const place = element("div.panels");
  const legend = newLegend();
  const more = button("", () => showAll(), { class: "asks", hidden: true });
  const value = valueChoice(study, "slices", () => consider());
  section.body.append(value.element, legend.element, place, more);
  const figures = newFigures(place, (name) => shortened(name, 40));
  let isAll = kept("slices") === "all";

  /** By default the server chooses the most important hyperparameters. */
  const names = () => (isAll ? study.names.slice(0, MOST) : []);
  const parameters = () => [...names().map((name) => ["name", name]), ...value.parameters()];
  const question = () => ["slices", parameters()];
  const consider = section.askWhenSeen(question, (/** @type {Answers["slices"]} */ answer) => {
    legend.show(Object.entries(answer.colors).map(([name, color]) => [color, name]));
    section.say(answer.notes.join(" "));
    const shown = Object.entries(answer.panels);
    figures.show(shown);
    more.hidden = isAll || study.names.length <= shown.length;
    setText(more, `Show ${plural(Math.min(MOST, study.names.length), "hyperparameter")}`);
  });
  const showAll = () => {
    isAll = true;
    keep({ slices: "all" });
    more.hidden = true;
    consider();
  };
  return section;
}
