// The best value so far, over time and over what was trained, with the results that it comes from.

import { CATEGORIES } from "../looks.js";
import { metricAxis, numberAxis, timeAxis } from "../page/axis.js";
import { element, openTrial } from "../page/dom.js";
import { Figure } from "../page/figure.js";
import { Section } from "../page/section.js";
import { countText, isNumber, numberText, secondsText } from "../page/text.js";
import { pointsByRung } from "./rungs.js";

/** The best results crowd at one end of the axis: this share of all may be left out to tell them apart. */
const WORST = 0.5;
/** Which steps, their colour and their name. */
const LINES = [
  ["_at_highest", CATEGORIES[1], "best at the highest rung"],
  ["", CATEGORIES[0], "best at any rung"],
];

export function best(study) {
  const section = new Section(
    "best",
    "Is it getting better?",
    "The best result so far. Each point is a result, in the colour of its rung.",
    "Best so far",
  );
  const figures = [new Figure("Over time"), new Figure("Over what was trained")];
  section.body.append(element("div", { class: "pair" }, ...figures.map((each) => each.element)));
  section.drawWhenSeen(study, ["best", "head", "ladder"], (parts) => drawBest(parts, figures));
  return section;
}

/** @param {Parts} parts @param {Figure[]} figures */
function drawBest({ best: part, head, ladder }, figures) {
  const [overTime, overResource] = figures;
  const [goal] = head.objectives;
  const { metric } = goal;
  const { time, value, rung, trial } = part.results;
  const values = part.over_time.values[metric] ?? [];
  const [now, trained] = [Math.max(head.now, 0.01), Math.max(head.epochs, 1)];
  const resource = (at) => `${countText(at)} ${head.unit}s trained`;
  const y = metricAxis([...values, ...value], goal, WORST);
  const points = pointsByRung(ladder.rungs, head.unit, { x: time, y: value, rung, trial }, (at) => [
    `${metric} ${numberText(value[at])}`,
    `trial ${trial[at]} at rung ${rung[at]}`,
    secondsText(time[at]),
  ]);
  overTime.draw(
    [...points, ...LINES.map((line) => stepsOf(part, "over_time", "time", metric, now, secondsText, line))],
    timeAxis(now, "since the study began"),
    y,
  );
  overTime.caption(y.beyond ? `${countText(y.beyond)} worse results are outside of the view` : "");
  const first = Math.max(1, part.over_resource.resource[0] ?? 1);
  const late = values.slice(Math.floor(values.length / 3)); // the first steps are far from the best
  overResource.draw(
    LINES.map((line) => stepsOf(part, "over_resource", "resource", metric, trained, resource, line)),
    numberAxis(`${head.unit}s trained, all trials together`, first, Math.max(trained, 1.1 * first), true),
    metricAxis([...late, ...(part.over_resource_at_highest.values[metric] ?? [])], goal),
  );
  for (const figure of figures)
    figure.describe(
      `Best ${metric}: ${numberText(values.find(isNumber))} at first, ${numberText(values.findLast(isNumber))} now.`,
    );
  overTime.data(() => stepsTable(part.over_time, "time", metric, secondsText));
  overResource.data(() => stepsTable(part.over_resource, "resource", metric, countText));
}

/** Return a line of the best so far, which goes on to `end` at its last value. @param {string[]} line @returns {Series} */
function stepsOf(part, name, at, metric, end, text, line) {
  const [where, color, label] = line;
  const of = part[`${name}${where}`];
  const y = of.values[metric] ?? [];
  const goesOn = of[at].length > 0 && of[at].at(-1) < end;
  const step = (point) => Math.min(point, of.trial.length - 1);
  return {
    kind: "step",
    color,
    label,
    width: 2.5,
    x: goesOn ? [...of[at], end] : of[at],
    y: goesOn ? [...y, y.at(-1)] : y,
    tip: (point) => [
      `${metric} ${numberText(y[step(point)])}`,
      `${label}: trial ${of.trial[step(point)]}`,
      text(of[at][step(point)]),
    ],
    pick: (point) => openTrial(of.trial[step(point)]),
  };
}

function stepsTable(of, at, metric, text) {
  const rows = of[at].map((each, place) => [
    text(each),
    numberText(of.values[metric]?.[place]),
    String(of.trial[place]),
    String(of.rung[place]),
  ]);
  return [[at, metric, "trial", "rung"], rows];
}
