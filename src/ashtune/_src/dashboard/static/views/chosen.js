// Chosen trials beside each other: their results, the hyperparameters in which they differ, and their learning curves.

import { valueAt } from "../page/axis.js";
import {
  element, folded, numberForm, remover, replaceChildren, set, setText, table, trialLink,
} from "../page/dom.js";
import { newFigures, together } from "../page/figure.js";
import { newSection } from "../page/section.js";
import { capital, countText, isNumber, plural, secondsText, shortened, textsApart } from "../page/text.js";
import { token } from "../page/theme.js";
import { lineOf } from "../study/ask.js";
import { choose, colorOf, FULL, isChosen, isFull, MOST, onChosen, places } from "../study/chosen.js";
import { stateMark, stateText } from "./trials.js";

const LEAD =
  `Choose 2 to ${MOST} trials: tick them in the table, click a mark in a figure while you hold Shift, or add their` +
  " numbers. Figures mark the chosen trials that they show, and the address of this page contains your choice.";
const HEIGHT = 320;
/** Free space above and below all curves, as a share of the axis. */
const AIR = 0.04;

export function chosen(study) {
  const section = newSection(study, "chosen", "Trials side by side", LEAD, "");
  const full = element("p.quiet", { role: "status" });
  const adder = numberForm("chosen-trial", "trial ", { min: 0, inputmode: "numeric" }, "Add it", (trial) => {
    setText(full, isFull() && FULL);
    choose(trial, true);
    adder.input.value = "";
  });
  const place = element("div");
  const curves = element("div.pair");
  const figures = newFigures(curves, capital);
  section.body.append(adder.element, full, place, curves);
  study.on(["head"], ({ head }) => set(adder.input, { max: Math.max(0, head.started - 1) }));
  onChosen(() => setText(full, ""));
  askChosen(section, study, (answers, refusals) => {
    const lacking = refusals.map(({ trial, line }) => element("p", `Trial ${trial}: ${line}.`, trialRemover(trial, section)));
    replaceChildren(place, lacking, answers.length > 0 && comparison(answers, study, section));
    const metrics = [...new Set(answers.flatMap(({ curves: own }) => Object.keys(own)))];
    figures.show(metrics.map((metric) => [metric, overlaid(curvesOf(answers, metric))]));
  });
  return section;
}

/** Return a button that removes a chosen trial. */
function trialRemover(trial, section) {
  return remover(`Remove trial ${trial}`, () => {
    choose(trial, false);
    section.element.focus({ preventScroll: true });
  });
}

function colorMark(trial) {
  const mark = element("i.color", { "aria-hidden": "true" });
  mark.style.background = `var(${colorOf(trial)})`;
  return mark;
}

/**
 * Ask for the chosen trials while a section is seen, and at once when the choice changes.
 *
 * @param {{ askWhenSeen: Function }} section
 * @param {(answers: TrialAnswer[], refusals: { trial: number, line: string }[]) => void} draw
 */
export function askChosen(section, study, draw) {
  const one = (trial) => study.ask(`trials/${trial}`).catch((problem) => ({ trial, line: lineOf(problem), position: 0 }));
  const ask = async (asked) => {
    const trials = asked.filter((trial) => trial !== null);
    const answers = (await Promise.all(trials.map(one))).filter(({ trial }) => isChosen(trial)); // others are removed by now
    return { answers, position: Math.min(...answers.map((each) => each.position)) }; // 0: asked again
  };
  const take = ({ answers }) => draw(answers.filter(({ line }) => !line), answers.filter(({ line }) => line));
  onChosen(section.askWhenSeen(() => [places], take, { ask }));
}

/** Return a figure for each chosen trial with its curve in its colour. @param {TrialAnswer[]} answers */
export function curvesOf(answers, metric) {
  const there = answers.filter(({ curves }) => Object.hasOwn(curves, metric));
  return there.map(({ trial, curves: { [metric]: figure } }) => {
    const own = figure.series.slice(-2); // its line and the dot at its end, without the curve of the best
    return { ...figure, series: own.map((each) => ({ ...each, color: token(colorOf(trial)) })) };
  });
}

/** Return figures as one that shows all their values: the axis of a single trial leaves out values far from the best. */
function overlaid(figures) {
  const figure = together(figures);
  const values = figure.series.flatMap(({ y }) => y).filter(isNumber);
  const y = { ...figure.y, low: Math.min(figure.y.low, ...values), high: Math.max(figure.y.high, ...values) };
  return { ...figure, y: { ...y, low: valueAt(y, -AIR), high: valueAt(y, 1 + AIR) }, notes: [], height: HEIGHT };
}

/** Return a table with a column for each trial: its results, then the hyperparameters that differ. */
function comparison(answers, study, section) {
  const united = (namesOf) => [...new Set(answers.flatMap(namesOf))];
  const metrics = united(({ metrics: own }) => Object.keys(own));
  const head = (name) => element("th", { scope: "row" }, shortened(name, 40));
  const row = (name, cellOf) => [head(name), ...answers.map(cellOf)];
  const results = [
    row("state", ({ status }) => stateMark(status, stateText(status, study))),
    ...metrics.map((name) => [head(name), ...textsApart(answers.map(({ metrics: own }) => own[name] ?? "none"))]),
    row(`${study.unit}s`, ({ resource }) => countText(resource)),
    row("time", ({ seconds }) => secondsText(seconds)),
    row("by", ({ origin }) => shortened(origin, 40)),
    answers.some(({ reason }) => reason) && row("reason", ({ reason }) => shortened(reason, 40)),
  ];
  const names = united(({ configuration }) => configuration.map(({ name }) => name));
  const rows = names.map((name) => {
    const values = answers.map(({ configuration }) => configuration.find((each) => each.name === name)?.value);
    return { name, texts: textsApart(values) };
  });
  const isEqual = ({ texts }) => answers.length > 1 && new Set(texts).size === 1;
  const equal = rows.filter(isEqual);
  const others = rows
    .filter((each) => !isEqual(each))
    .map(({ name, texts }) => {
      const sign = answers.length > 1 && element("span.differs", { title: "differs" }, "≠ ");
      return [element("th", { scope: "row" }, sign, shortened(name, 40)), ...texts];
    });
  const heads = answers.map(({ trial }) =>
    element("th", { scope: "col" }, colorMark(trial), trialLink(trial), trialRemover(trial, section)),
  );
  return [
    table("Chosen trials", [element("td"), ...heads], [...results.filter(Boolean), ...others], { class: "beside" }),
    equal.length > 0 &&
      folded(
        `${plural(equal.length, "hyperparameter")} ${equal.length === 1 ? "is" : "are"} equal in all of them`,
        "equal",
        element("p", equal.map(({ name, texts }) => `${name}: ${texts[0]}`).join(", ")),
      ),
  ];
}
