// Chosen trials beside each other: their results, the hyperparameters in which they differ, and their learning curves.

import { valueAt } from "../page/axis.js";
import { button, element, form, numberField, replaceChildren, set, setText, table, trialLink } from "../page/dom.js";
import { Figures, together } from "../page/figure.js";
import { Section } from "../page/section.js";
import { capital, countText, isNumber, plural, secondsText, shortened, textsApart, valueText } from "../page/text.js";
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
  const section = new Section("chosen", "Trials side by side", LEAD, "");
  const { input, fields } = numberField("chosen-trial", "trial ", { min: 0, inputmode: "numeric" });
  const add = () => {
    setText(full, isFull() ? FULL : "");
    choose(Number(input.value), true);
    input.value = "";
  };
  const full = element("p.quiet", { role: "status" });
  const place = element("div");
  const curves = element("div.pair");
  const figures = new Figures(curves, capital);
  section.body.append(form(fields, "Add it", add), full, place, curves);
  study.on(["head"], ({ head }) => set(input, { max: Math.max(0, head.started - 1) }));
  const ask = askChosen(section, study, (answers, refusals) => {
    const lacking = refusals.map(({ trial, line }) => element("p", `Trial ${trial}: ${line}.`, remover(trial, section)));
    replaceChildren(place, lacking, answers.length > 0 && comparison(answers, study, section));
    const metrics = [...new Set(answers.flatMap(({ curves: own }) => Object.keys(own)))];
    figures.show(metrics.map((metric) => [metric, overlaid(curvesOf(answers, metric))]));
  });
  onChosen(() => setText(full, ""));
  onChosen(ask);
  return section;
}

/** Return a button that removes a chosen trial. */
function remover(trial, section) {
  const remove = () => {
    choose(trial, false);
    section.element.focus({ preventScroll: true });
  };
  return button("×", remove, { class: "plain", "aria-label": `Remove trial ${trial}`, "data-key": `remove ${trial}` });
}

function colorMark(trial) {
  const mark = element("i.color", { "aria-hidden": "true" });
  mark.style.setProperty("--color", `var(${colorOf(trial)})`);
  return mark;
}

/**
 * Ask for the chosen trials while a section is seen.
 *
 * @param {Section} section
 * @param {(answers: TrialAnswer[], refusals: { trial: number, line: string }[]) => void} draw
 * @returns A function that asks at once if the choice has changed.
 */
export function askChosen(section, study, draw) {
  const one = (trial) => study.ask(`trials/${trial}`).catch((problem) => ({ trial, line: lineOf(problem) }));
  const ask = async (asked) => {
    const trials = asked.filter((trial) => trial !== null);
    const all = (await Promise.all(trials.map(one))).filter(({ trial }) => isChosen(trial)); // others are removed by now
    const [answers, refusals] = [all.filter(({ line }) => !line), all.filter(({ line }) => line)];
    const position = refusals.length ? 0 : Math.min(...answers.map((each) => each.position)); // 0: asked again
    return { answers, refusals, position };
  };
  return section.askWhenSeen(study, () => [places], ({ answers, refusals }) => draw(answers, refusals), { ask });
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
  const figure = together(figures[0], figures.slice(1));
  const values = figure.series.flatMap(({ y }) => y).filter(isNumber);
  const y = { ...figure.y, low: Math.min(figure.y.low, ...values), high: Math.max(figure.y.high, ...values) };
  return { ...figure, y: { ...y, low: valueAt(y, -AIR), high: valueAt(y, 1 + AIR) }, notes: [], height: HEIGHT };
}

/** Return a table with a column for each trial: its results, then the hyperparameters that differ. */
function comparison(answers, study, section) {
  const united = (namesOf) => [...new Set(answers.flatMap(namesOf))];
  const metrics = united(({ metrics: own }) => Object.keys(own));
  const row = (name, cells) => [element("th", { scope: "row" }, shortened(name, 40)), ...cells];
  const results = [
    row("state", answers.map(({ status }) => stateMark(status, stateText(status, study)))),
    ...metrics.map((name) => row(name, textsApart(answers.map(({ metrics: own }) => own[name] ?? "none")))),
    row(`${study.unit}s`, answers.map(({ resource }) => countText(resource))),
    row("time", answers.map(({ seconds }) => secondsText(seconds))),
    row("by", answers.map(({ origin }) => shortened(origin, 40))),
    answers.some(({ reason }) => reason) && row("reason", answers.map(({ reason }) => shortened(reason, 40))),
  ];
  const names = united(({ configuration }) => configuration.map(({ name }) => name));
  const valuesOf = (name) => answers.map(({ configuration }) => configuration.find((each) => each.name === name)?.value);
  const isEqual = (name) => answers.length > 1 && new Set(valuesOf(name).map((value) => JSON.stringify(value ?? null))).size === 1;
  const equal = names.filter(isEqual);
  const others = names.filter((name) => !isEqual(name)).map((name) => {
    const sign = answers.length > 1 && element("span.differs", { title: "differs" }, "≠ ");
    const title = element("th", { scope: "row" }, sign, shortened(name, 40));
    return [title, ...textsApart(valuesOf(name))];
  });
  const heads = answers.map(({ trial }) => element("th", { scope: "col" }, colorMark(trial), trialLink(trial), remover(trial, section)));
  return [
    table("Chosen trials", [element("td"), ...heads], [...results.filter(Boolean), ...others], { class: "beside" }),
    equal.length > 0 &&
      element(
        "details",
        { class: "data", "data-key": "equal" },
        element("summary", { "data-key": "summary equal" }, `${plural(equal.length, "hyperparameter")} ${equal.length === 1 ? "is" : "are"} equal in all of them`),
        element("p", equal.map((name) => `${name}: ${shortened(valueText(valuesOf(name)[0]), 40)}`).join(", ")),
      ),
  ];
}
