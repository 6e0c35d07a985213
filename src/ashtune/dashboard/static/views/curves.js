// Learning curves: the best trials, a sample of the others, and those that the reader chooses.

import { CATEGORIES } from "../looks.js";
import { metricAxis, resourceAxis } from "../page/axis.js";
import { button, element, form, numberField, openTrial, replaceChildren } from "../page/dom.js";
import { Figure } from "../page/figure.js";
import { Section } from "../page/section.js";
import { countText, isNumber, numberText, plural } from "../page/text.js";
import { lineOf } from "../study/ask.js";

const MOST = 4;

export function curves(study) {
  const section = new Section(
    "curves",
    "Learning curves",
    "The best trials, a sample of the others, and trials of your choice.",
  );
  const figure = new Figure();
  /** @type {Map<number, TrialCurve>} */
  const chosen = new Map();
  const list = element("ul", { class: "chips" });
  const { input, fields } = numberField("curve-trial", "trial ", { min: 0, inputmode: "numeric" });
  section.body.append(
    figure.element,
    form(fields, "Add its curve", () => add(Number(input.value))),
    list,
  );
  const again = section.drawWhenSeen(study, ["curves", "head", "ladder"], (parts) =>
    drawCurves(parts, [...chosen.values()], figure),
  );

  const choose = (trial, curve) => {
    if (curve === null) chosen.delete(trial);
    else chosen.set(trial, curve);
    const chip = (each) =>
      button("×", () => choose(each, null), {
        class: "plain",
        "aria-label": `Remove the curve of trial ${each}`,
        "data-key": `curve ${each}`,
      });
    replaceChildren(
      list,
      [...chosen.keys()].map((each) => element("li", {}, `trial ${each} `, chip(each))),
    );
    again();
  };
  const add = async (trial) => {
    try {
      const { curve } = await study.ask(`trials/${trial}`);
      const own = curve[study.objective.metric];
      section.say(own?.resource.length ? "" : `trial ${trial} has reported nothing yet`);
      if (!own?.resource.length) return;
      if (chosen.size >= MOST) chosen.delete([...chosen.keys()][0]);
      choose(trial, { trial, ...own });
      if (Number(input.value) === trial) input.value = ""; // unless another one is typed by now
    } catch (problem) {
      section.say(lineOf(problem));
    }
  };
  return section;
}

/** @param {Parts} parts @param {TrialCurve[]} chosen @param {Figure} figure */
function drawCurves({ curves: { curves: sent, metric }, head, ladder }, chosen, figure) {
  const all = [...sent, ...chosen];
  const y = metricAxis(
    all.flatMap(({ value }) => value),
    { metric, mode: head.objectives[0].mode },
  );
  const sampled = sent.filter(({ kind }) => kind !== "best");
  const others = sent.filter(({ kind }) => kind === "best");
  const best = others.pop(); // they are sorted, the best last
  figure.draw(
    [
      ...sampled.map((curve, number) => curveOf(curve, "--quiet", 1, 0.55, number ? "" : "a sample")),
      ...others.map((curve, number) => curveOf(curve, "--accent", 1.3, 0.6, number ? "" : "others of the best")),
      ...(best ? [curveOf(best, "--accent", 3, 1, `the best: trial ${best.trial}`)] : []),
      ...chosen.map((curve, number) => curveOf(curve, CATEGORIES[number + 1], 2.5, 1, `trial ${curve.trial}`)),
    ],
    resourceAxis(
      ladder.rungs.map(({ resource }) => resource),
      head.unit,
      all,
    ),
    y,
    350,
  );
  figure.caption(y.beyond ? `${plural(y.beyond, "value")} outside of the view` : "");
  const end = best ? `; the best, trial ${best.trial}, ends at ${numberText(best.value.findLast(isNumber))}` : "";
  figure.describe(`Learning curves of ${plural(sent.length, "trial")}${end}.`);
  figure.data(() => [
    ["trial", "kind", `first ${metric}`, `last ${metric}`, `at ${head.unit}`],
    [...chosen, ...sent].map(({ trial, kind = "chosen", value, resource }) => {
      const last = value.findLastIndex(isNumber);
      return [
        `trial ${trial}`,
        kind,
        numberText(value.find(isNumber)),
        numberText(value[last]),
        countText(resource[last]),
      ];
    }),
  ]);
}

/** @param {TrialCurve} curve @returns {Series} */
function curveOf({ trial, resource, value }, color, width, alpha, label) {
  return {
    kind: "line",
    color,
    width,
    alpha,
    label,
    x: resource,
    y: value,
    tip: (at) => [`trial ${trial}`, `${numberText(value[at])} at ${countText(resource[at])}`],
    pick: () => openTrial(trial),
  };
}
