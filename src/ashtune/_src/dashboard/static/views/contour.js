// The result over two hyperparameters: a smoothed mean, and the trials behind it.

import { keep, kept } from "../page/address.js";
import { element, fillOptions } from "../page/dom.js";
import { newFigure } from "../page/figure.js";
import { newSection } from "../page/section.js";
import { valueChoice } from "./value.js";

export function contour(study) {
  const lead = "The result over two hyperparameters, the best in full colour; a point is a trial.";
  const section = newSection(study, "contour", "Two at once", lead, "Contours");
  section.isEmpty = () => !study.hasResult || study.names.length < 2;
  const value = valueChoice(study, "contour", () => consider());
  const onchange = () => {
    section.say(x.value === y.value && "choose two different hyperparameters");
    keep({ across: x.value, up: y.value });
    consider();
  };
  const x = element("select", { id: "contour-x", onchange });
  const y = element("select", { id: "contour-y", onchange });
  const across = element("label", { for: "contour-x" }, "across ");
  const up = element("label", { for: "contour-y" }, "up ");
  const figure = newFigure("", "Contours");
  section.body.append(element("p.choice.asks", across, x, up, y), value.element, figure.element);
  study.on(["space"], () => {
    if (!fillOptions(x, study.names, kept("across"))) return;
    fillOptions(y, study.names);
    y.selectedIndex = Math.min(1, study.names.length - 1);
    if (study.names.includes(kept("up"))) y.value = kept("up");
  });
  const consider = section.askWhenSeen(
    () => (x.value === y.value ? null : ["contour", [["x", x.value], ["y", y.value], ...value.parameters()]]),
    (/** @type {Answers["contour"]} */ answer) => figure.show(answer.figure),
  );
  return section;
}
