// The result over each hyperparameter: a small figure each, its points in the colours of their rungs.

import { hyperparameterAxis, metricAxis, padded, scattered } from "../page/axis.js";
import { button, element, setText } from "../page/dom.js";
import { Figure, Legend } from "../page/figure.js";
import { Section } from "../page/section.js";
import { isNumber, numberText, plural, shortened } from "../page/text.js";
import { pointsByRung, rungLegend } from "./rungs.js";

const FIRST = 6;
/** A question has at most a hundred parameters, and nobody looks at more figures. */
const MOST = 60;
const HEIGHT = 220;
const JITTER = 0.16;
/** The best results crowd at one end of the axis: so large a share may lie on its other edge, to tell them apart. */
const WORST = 0.4;

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
  const consider = section.askWhenSeen(study, question, (/** @type {Answers["slices"]} */ { panels }) => {
    const { rungs } = study.parts.ladder;
    legend.show(rungLegend(rungs, study.unit));
    const values = panels.flatMap((panel) => panel.y);
    const y = metricAxis(values, study.objective, WORST);
    const shown = panels.map((panel) => {
      const figure = figures.get(panel.name) ?? new Figure(shortened(panel.name, 40));
      figures.set(panel.name, figure);
      return figure.element;
    });
    if (shown.some((each, number) => place.children[number] !== each)) place.replaceChildren(...shown);
    for (const panel of panels) drawPanel(figures.get(panel.name), panel, y, rungs, study);
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

/** Return the names of the hyperparameters that vary, the most important first where that is known. */
export function byImportance({ names, important }) {
  const place = (name) => (important.includes(name) ? important.indexOf(name) : important.length + names.indexOf(name));
  return [...names].sort((a, b) => place(a) - place(b));
}

/** @param {Answers["slices"]["panels"][0]} panel @param {ReturnType<typeof metricAxis>} y */
function drawPanel(figure, panel, y, rungs, { unit, objective: { metric } }) {
  const axis = hyperparameterAxis(panel);
  const { rung, trial } = panel;
  const text = (at) => axis.text(panel.x[at]);
  const points = {
    x: panel.x.map((x, at) => (axis.choices && isNumber(x) ? x + JITTER * scattered(trial[at]) : x)),
    y: panel.y.map((value) => (isNumber(value) ? Math.max(y.low, Math.min(y.high, value)) : null)),
    rung,
    trial,
  };
  const series = pointsByRung(rungs, unit, points, (at) => [
    `${metric} ${numberText(panel.y[at])}`,
    `${shortened(panel.name, 24)} ${text(at)}`,
    `trial ${trial[at]}`,
  ]);
  figure.draw(series, { ...padded(axis), label: "" }, { ...y, label: "" }, HEIGHT);
  figure.legend([]); // one for all figures is above them
  figure.caption(y.beyond ? "worse results lie on the edge" : "");
  figure.describe(`${metric} over ${panel.name}: ${plural(panel.x.length, "result")}.`);
  figure.data(() => [
    [shortened(panel.name, 30), shortened(metric, 30), "rung", "trial"],
    rung.map((each, at) => [text(at), numberText(panel.y[at]), String(each), String(trial[at])]),
  ]);
}
