// What the study would have taken with other choices: sliders for workers, reduction factor and deadline.

import { element, replaceChildren, set, setText, slider } from "../page/dom.js";
import { newFigure, together } from "../page/figure.js";
import { newSection } from "../page/section.js";
import { countText, listed, plural, roughSecondsText, secondsText, shareText } from "../page/text.js";

const WORKERS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];
const FACTORS = [2, 3, 4];
/** In seconds; 0: none. */
const DEADLINES = [0, 60, 300, 900, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 24 * 3600, 3 * 86400];
const WAIT = 350;
/** Milliseconds after which predictions are computed again while the study grows. */
const STALE = 60000;

export function whatif(study) {
  const section = newSection(
    study,
    "whatif",
    "What if?",
    "How long this study would have taken with other choices: its journal is replayed in virtual time.",
    "What if",
  );
  section.isEmpty = () => !study.hasResult;
  /** The reduction factor of the study, or 0 while it is not known. */
  let ownFactor = 0;
  let wait = 0;
  const figure = newFigure("Wall time by number of workers");
  const words = element("div.quiet");
  const first = element("p.prediction", { role: "status" });
  const predictions = newPredictions();

  /** Return a slider over some values. */
  const choice = (title, values, text) => {
    const id = `slider-${title.toLowerCase().replaceAll(" ", "-")}`;
    const made = slider(id, title, { max: values.length - 1 }, (place) => text(values[place]), () => {
      workers.input.disabled = deadline.value() > 0; // with a deadline, the number of workers is the answer
      show();
      clearTimeout(wait);
      wait = setTimeout(consider, WAIT);
    });
    return {
      ...made,
      value: () => values[Number(made.input.value)],
      /** Choose a value, which is added to the slider's values if it is not among them. */
      choose(value) {
        if (!values.includes(value)) values.push(value);
        values.sort((a, b) => a - b);
        set(made.input, { max: values.length - 1 });
        made.set(values.indexOf(value));
      },
    };
  };
  const workers = choice("Workers", [...WORKERS], countText);
  const factor = choice("Reduction factor", [...FACTORS], String);
  const deadline = choice("Deadline", DEADLINES, (seconds) => (seconds ? roughSecondsText(seconds) : "none"));
  section.body.append(
    element("div.sliders.asks", workers.element, factor.element, deadline.element),
    first,
    figure.element,
    words,
  );

  study.on(["workers", "ladder"], (parts) => {
    const [low, next = 3 * low] = study.resources;
    if (ownFactor || !parts.workers.lanes || !study.isThere) return;
    ownFactor = Math.max(2, Math.round(next / low));
    workers.choose(parts.workers.lanes);
    factor.choose(ownFactor);
  });
  const chosen = () => predictions.of(factor.value(), workers.value());
  const show = () => {
    const mine = chosen();
    if (!deadline.value()) setText(first, mine && predictionText(mine, study));
    drawTimes(figure, predictions.all(factor.value()), mine, study);
  };
  /** The next question: as `ashtune whatif` without options, and then the choice if its prediction is not known. */
  const question = () => {
    if (!ownFactor) return null;
    const asked = ["reduction_factor", factor.value()];
    if (deadline.value()) return ["whatif", [["deadline", deadline.value()], asked]];
    const isKnown = predictions.isEmpty() || chosen();
    return ["whatif", isKnown ? [] : [["workers", workers.value()], asked]];
  };
  const consider = section.askWhenSeen(question, (/** @type {Answers["whatif"]} */ answer, [, given]) => {
    const asked = Object.fromEntries(given); // the sliders may have changed by now
    predictions.add(answer.predictions, asked.reduction_factor ?? ownFactor, study.position);
    replaceChildren(words, answer.text.map((sentence) => element("p", sentence)));
    if (asked.deadline && asked.deadline === deadline.value()) setText(first, answer.text[0]);
    show();
  });
  return section;
}

/** Return the predictions so far, by reduction factor and number of workers. If the study grows, old ones are deleted. */
export function newPredictions() {
  const known = new Map();
  return {
    add(predictions, factor, position) {
      const now = performance.now();
      for (const [key, one] of known) if (one.position !== position && now - one.at > STALE) known.delete(key);
      for (const one of predictions) known.set(`${factor} ${one.workers}`, { prediction: one, at: now, position });
    },
    isEmpty: () => !known.size,
    of: (factor, workers) => known.get(`${factor} ${workers}`)?.prediction,
    all: (factor) => [...known].filter(([key]) => key.startsWith(`${factor} `)).map(([, { prediction }]) => prediction),
  };
}

function predictionText({ workers, wall_seconds: wall, utilisation, best, reduction_factor: factor }, study) {
  const may = wall.low < wall.high ? `, perhaps ${secondsText(wall.low)} to ${secondsText(wall.high)}` : "";
  const parts = [`${secondsText(wall.likely)} in all${may}`, `workers busy ${shareText(utilisation)}`];
  parts.push(`best ${study.objective.metric} ${bestText(best, study)}`);
  return `On ${plural(workers, "worker")} with reduction factor ${factor}: ${listed(parts)}.`;
}

/** @param {Span | null} best */
function bestText(best, study) {
  return best ? study.resultText(best.likely) : "not known";
}

/** @param {{ show: Function, describe: Function }} times @param {Prediction[]} predictions @param {Prediction | undefined} mine */
function drawTimes(times, predictions, mine, study) {
  if (!predictions.length) return;
  const of = [...predictions].sort((a, b) => a.workers - b.workers);
  const [first, ...others] = of.map((one) => one.figure);
  const large = mine ? mine.figure.series.map((each) => ({ ...each, name: "", size: 13 })) : [];
  times.show(together([first, ...others, { ...first, series: large }]));
  const texts = of.map((one) => `${one.workers}: ${secondsText(one.wall_seconds.likely)}`);
  times.describe(`Wall time by number of workers: ${texts.join(", ")}.`, () => [
    ["scheduler", "reduction factor", "workers", "wall time", "or from", "to", "busy", `best ${study.objective.metric}`],
    of.map(({ scheduler, reduction_factor: factor, workers, wall_seconds: wall, utilisation, best }) => [
      scheduler,
      factor,
      countText(workers),
      ...[wall.likely, wall.low, wall.high].map(secondsText),
      shareText(utilisation),
      bestText(best, study),
    ]),
  ]);
}
