// The result over each hyperparameter: a small figure each, its points in the colours of their rungs.

import { Chart, metricAxis } from "../page/chart.js";
import { element, openTrial, setText } from "../page/dom.js";
import { Figure, Legend } from "../page/figure.js";
import { metricRange, scattered } from "../page/range.js";
import { Section } from "../page/section.js";
import { rungColor } from "../page/theme.js";
import { isNumber, numberText, plural, shortened, valueText } from "../page/text.js";
import { rungLegend } from "./rungs.js";

const FIRST = 6;
/** A question has at most a hundred parameters, and nobody looks at more figures. */
const MOST = 60;
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
  const more = element("button", { hidden: true, onclick: () => showAll() });
  section.body.append(legend.element, place, more);
  const panels = new Map();
  let count = FIRST;

  const names = () => byImportance(study).slice(0, MOST);
  const question = () =>
    study.parts.head?.best && names().length
      ? ["slices", names().slice(0, count).map((name) => ["name", name])]
      : null;
  const consider = section.askWhenSeen(study, question, (answer) => {
    const rungs = study.parts.ladder.rungs;
    legend.show(rungLegend(rungs, study.unit));
    const range = metricRange(
      answer.panels.flatMap((panel) => panel.y),
      study.objective.mode,
      WORST,
    );
    for (const panel of answer.panels) {
      if (!panels.has(panel.name)) {
        const figure = new Figure(shortened(panel.name, 40));
        panels.set(panel.name, { figure, chart: new Chart(figure.plot, 190) });
      }
      drawPanel(panels.get(panel.name), panel, answer.metric, range, rungs.length);
    }
    const shown = answer.panels.map((panel) => panels.get(panel.name).figure.element);
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

/** Return the names of the hyperparameters that vary, the most important first where that is known. */
function byImportance({ names, important }) {
  const place = (name) => (important.includes(name) ? important.indexOf(name) : important.length + names.indexOf(name));
  return [...names].sort((a, b) => place(a) - place(b));
}

function drawPanel({ figure, chart }, panel, metric, range, rungs) {
  const isNamed = panel.choices.length > 0;
  const points = Array.from({ length: rungs }, (_, rung) => ({
    kind: "points",
    color: rungColor(rung, rungs),
    size: 5,
    alpha: 0.6,
    x: [],
    y: [],
    at: [],
  }));
  panel.x.forEach((x, at) => {
    const of = points[panel.rung[at]];
    if (!of || !isNumber(x)) return;
    of.x.push(isNamed ? x + JITTER * scattered(panel.trial[at]) : x);
    of.y.push(isNumber(panel.y[at]) ? Math.max(range.low, Math.min(range.high, panel.y[at])) : null);
    of.at.push(at);
  });
  const text = (at) => (isNamed ? valueText(panel.choices[panel.x[at]]) : numberText(panel.x[at]));
  for (const of of points) {
    of.tip = (point) => [
      `${metric} ${numberText(panel.y[of.at[point]])}`,
      `${shortened(panel.name, 24)} ${text(of.at[point])}`,
      `trial ${panel.trial[of.at[point]]}`,
    ];
    of.pick = (point) => openTrial(panel.trial[of.at[point]]);
  }
  chart.draw(points, isNamed ? namedAxis(panel.choices) : valueAxis(panel), metricAxis(range, ""));
  figure.caption(range.beyond ? "worse results lie on the edge" : "");
  figure.describe(`${metric} over ${panel.name}: ${plural(panel.x.length, "result")}.`);
  figure.data(() => [
    [panel.name, metric, "rung", "trial"].map((title) => ({ title: shortened(title, 30) })),
    panel.x.map((x, at) => [
      isNumber(x) ? text(at) : "not active",
      numberText(panel.y[at]),
      String(panel.rung[at]),
      String(panel.trial[at]),
    ]),
  ]);
}

function namedAxis(choices) {
  return {
    low: -0.5,
    high: choices.length - 0.5,
    ticks: choices.map((choice, place) => [place, shortened(valueText(choice), 12)]),
    label: "",
  };
}

function valueAxis({ x, log: isLog }) {
  const values = x.filter(isNumber);
  const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [0, 1];
  if (isLog && low > 0) {
    const room = (high / low) ** 0.04 || 1.1;
    return { isLog: true, low: low / room, high: high * Math.max(room, 1.001), label: "" };
  }
  const room = 0.06 * (high - low || Math.abs(high) || 1);
  return { low: low - room, high: high + room, label: "" };
}
