// The result over two hyperparameters: a smoothed mean, and the trials behind it.

import { keep, kept } from "../page/address.js";
import { element, fillOptions } from "../page/dom.js";
import { newFigure } from "../page/figure.js";
import { newSection } from "../page/section.js";
import { shortened } from "../page/text.js";
import { valueChoice } from "./value.js";

export function contour(study) {
  const lead = "The result over two hyperparameters, the best in full colour; a point is a trial.";
  const section = newSection(study, "contour", "Two at once", lead, "Contours");
  section.isEmpty = () => !study.hasResult || study.names.length < 2;
  const [x, y] = [element("select", { id: "contour-x" }), element("select", { id: "contour-y" })];
  const figure = newFigure("", "Contours");
  const labels = [
    element("label", { for: "contour-x" }, "across "),
    element("label", { for: "contour-y" }, "up "),
  ];
  const value = valueChoice(study, "contour", () => consider());
  section.body.append(element("p.choice.asks", labels[0], x, labels[1], y), value.element, figure.element);
  study.on(["space"], () => {
    const options = study.names.map((name) => [name, shortened(name, 40)]);
    if (!fillOptions(x, options, kept("across"))) return;
    fillOptions(y, options);
    y.selectedIndex = Math.min(1, options.length - 1);
    if (study.names.includes(kept("up"))) y.value = kept("up");
  });
  const parameters = () => [
    ["x", x.value],
    ["y", y.value],
    ...value.parameters(),
  ];
  const isAsked = () => x.value && y.value && x.value !== y.value;
  const consider = section.askWhenSeen(
    () => (isAsked() ? ["contour", parameters()] : null),
    (/** @type {Answers["contour"]} */ answer) => figure.show(answer.figure),
  );
  for (const select of [x, y]) {
    select.addEventListener("change", () => {
      section.say(x.value === y.value ? "choose two that differ" : "");
      keep({ across: x.value, up: y.value });
      consider();
    });
  }
  return section;
}
