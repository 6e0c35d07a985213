// What the study would have taken with other choices: sliders for workers, reduction factor and deadline.

import { element, replaceChildren, set, setText, slider } from "../page/dom.js";
import { newFigure, together } from "../page/figure.js";
import { newSection } from "../page/section.js";
import { countText, listed, numberText, plural, roughSecondsText, secondsText, shareText } from "../page/text.js";

const WORKERS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];
const FACTORS = [2, 3, 4];
const DEADLINES = [null, 60, 300, 900, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 24 * 3600, 3 * 86400];
const WAIT = 350;
/** Milliseconds after which predictions are computed again while the study grows. */
const STALE = 60000;

export function whatif(study) {
  const section = newSection(
    study,
    "whatif",
    "What if?",
    "What this study would have taken under other choices, trained again in virtual time from its journal.",
    "What if",
  );
  section.isEmpty = () => !study.hasResult;
  /** @type {Record<"workers" | "factor" | "deadline", number | null>} */
  const chosen = { workers: null, factor: null, deadline: null };
  let ownFactor = 0;
  const [counts, factors] = [[...WORKERS], [...FACTORS]];
  const figure = newFigure("Wall time by number of workers");
  const words = element("div.quiet");
  const first = element("p.prediction", { role: "status" });
  const predictions = new Predictions();

  let wait = 0;
  const choice = (name, title, values, text) =>
    slider(
      `slider-${title.toLowerCase().replaceAll(" ", "-")}`,
      title,
      { max: values.length - 1 },
      (place) => text(values[place]),
      (place) => {
        chosen[name] = values[place];
        workers.input.disabled = chosen.deadline !== null; // with a deadline, the number of workers is the answer
        show();
        clearTimeout(wait);
        wait = setTimeout(consider, WAIT);
      },
    );
  const workers = choice("workers", "Workers", counts, countText);
  const factor = choice("factor", "Reduction factor", factors, String);
  const deadline = choice("deadline", "Deadline", DEADLINES, (at) => (at === null ? "none" : roughSecondsText(at)));
  section.body.append(
    element("div.sliders.asks", workers.element, factor.element, deadline.element),
    first,
    figure.element,
    words,
  );

  study.on(["workers", "ladder"], () => {
    const [there, [low, next = 3 * low]] = [lanesOf(study), study.resources];
    if (chosen.workers !== null || !there || !study.isThere) return;
    ownFactor = Math.max(2, Math.round(next / low));
    chosen.workers = choose(workers, counts, there);
    chosen.factor = choose(factor, factors, ownFactor);
  });
  const show = () => {
    const mine = predictions.of(chosen.factor, chosen.workers);
    if (chosen.deadline === null) setText(first, mine ? predictionText(mine, study) : "");
    drawTimes(figure, predictions.all(chosen.factor), mine, study.objective);
  };
  /** The next question: as `ashtune whatif` without options, and then the choice if its prediction is not known. */
  const question = () => {
    if (chosen.workers === null) return null;
    const asked = ["reduction_factor", String(chosen.factor)];
    if (chosen.deadline !== null) return ["whatif", [["deadline", String(chosen.deadline)], asked]];
    const isKnown = predictions.isEmpty || predictions.of(chosen.factor, chosen.workers);
    return ["whatif", isKnown ? [] : [["workers", String(chosen.workers)], asked]];
  };
  const consider = section.askWhenSeen(question, (/** @type {Answers["whatif"]} */ answer, [, given]) => {
    const asked = Object.fromEntries(given); // the sliders may have changed by now
    predictions.add(answer.predictions, asked.reduction_factor ?? ownFactor, study.position);
    replaceChildren(words, answer.text.map((sentence) => element("p", sentence)));
    if (chosen.deadline !== null && asked.deadline === String(chosen.deadline)) setText(first, answer.text[0] ?? "");
    show();
  });
  return section;
}

/** Set a slider to a value, which is added to the slider's values if it is not among them. Return the value. */
function choose({ input, set: move }, values, value) {
  if (!values.includes(value)) values.push(value);
  values.sort((a, b) => a - b);
  set(input, { max: values.length - 1 });
  move(values.indexOf(value));
  return value;
}

/** The predictions so far, by reduction factor and number of workers. If the study grows, old ones are deleted. */
export class Predictions {
  constructor() {
    this._known = new Map();
  }

  add(answered, factor, position) {
    for (const [key, { at, position: then }] of this._known)
      if (then !== position && performance.now() - at > STALE) this._known.delete(key);
    for (const one of answered) this._known.set(`${factor} ${one.workers}`, { one, at: performance.now(), position });
  }

  get isEmpty() {
    return !this._known.size;
  }

  of(factor, workers) {
    return this._known.get(`${factor} ${workers}`)?.one;
  }

  all(factor) {
    return [...this._known].filter(([key]) => key.startsWith(`${factor} `)).map(([, { one }]) => one);
  }
}

/** Return the largest number of workers that the study has had at the same time. */
function lanesOf({ parts: { workers } }) {
  return workers?.lanes ?? 0;
}

function predictionText({ workers, wall_seconds: wall, utilisation, best, reduction_factor: factor }, study) {
  const may = wall.low < wall.high ? `, perhaps ${secondsText(wall.low)} to ${secondsText(wall.high)}` : "";
  const parts = [`${secondsText(wall.likely)} in all${may}`, `workers busy ${shareText(utilisation)}`];
  parts.push(`best ${study.objective.metric} ${bestText(best)}`);
  return `On ${plural(workers, "worker")} with reduction factor ${factor}: ${listed(parts)}.`;
}

/** @param {Span | null} best */
function bestText(best) {
  return best ? numberText(best.likely) : "not known";
}

/** @param {{ show: Function, describe: Function }} times @param {Prediction[]} predictions @param {Prediction | undefined} mine @param {Goal} goal */
function drawTimes(times, predictions, mine, { metric }) {
  if (!predictions.length) return;
  const of = [...predictions].sort((a, b) => a.workers - b.workers);
  const [first, ...others] = of.map((one) => one.figure);
  const large = mine ? mine.figure.series.map((each) => ({ ...each, name: "", size: 13 })) : [];
  times.show(together([first, ...others, { ...first, series: large }]));
  const texts = of.map((one) => `${one.workers}: ${secondsText(one.wall_seconds.likely)}`);
  times.describe(`Wall time by number of workers: ${texts.join(", ")}.`, () => [
    ["scheduler", "reduction factor", "workers", "wall time", "or from", "to", "busy", `best ${metric}`],
    of.map(({ scheduler, reduction_factor: factor, workers, wall_seconds: wall, utilisation, best }) => [
      scheduler,
      factor,
      countText(workers),
      ...[wall.likely, wall.low, wall.high].map(secondsText),
      shareText(utilisation),
      bestText(best),
    ]),
  ]);
}
