// What the study would have taken under other choices: sliders for workers, reduction factor and deadline.

import { Chart, timeAxis } from "../page/chart.js";
import { element, replaceChildren, setText } from "../page/dom.js";
import { Figure } from "../page/figure.js";
import { Section } from "../page/section.js";
import { CATEGORIES } from "../page/theme.js";
import { countText, listed, numberText, plural, roughSecondsText, secondsText, shareText } from "../page/text.js";

const WORKERS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256];
const FACTORS = [2, 3, 4];
const DEADLINES = [null, 60, 300, 900, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 24 * 3600, 3 * 86400];
const WAIT = 350;
/** While the study grows, predictions of so many milliseconds ago are made anew. */
const STALE = 60000;

export function whatif(study) {
  const section = new Section(
    "whatif",
    "What if?",
    "What this study would have taken under other choices, trained again in virtual time from its journal.",
    "What if",
  );
  const chosen = { workers: null, factor: null, deadline: null };
  const figure = new Figure("Wall time by number of workers");
  const chart = new Chart(figure.plot, 240);
  const words = element("div", { class: "quiet" });
  const first = element("p", { class: "prediction", role: "status" });
  const predictions = new Predictions();

  let wait = 0;
  const change = (name, value) => {
    chosen[name] = value;
    show();
    clearTimeout(wait);
    wait = setTimeout(() => consider(), WAIT);
  };
  const workers = slider(
    "Workers",
    WORKERS.map((count) => [count, countText(count)]),
    (value) => change("workers", value),
  );
  const factor = slider(
    "Reduction factor",
    FACTORS.map((each) => [each, String(each)]),
    (value) => change("factor", value),
  );
  const deadline = slider(
    "Deadline",
    DEADLINES.map((seconds) => [seconds, seconds === null ? "none" : roughSecondsText(seconds)]),
    (value) => {
      workers.input.disabled = value !== null; // a deadline asks how many workers it takes
      change("deadline", value);
    },
  );
  section.body.append(
    element("div", { class: "sliders" }, workers.element, factor.element, deadline.element),
    first,
    figure.element,
    words,
  );

  study.on(["workers", "ladder"], () => {
    const there = lanesOf(study);
    if (chosen.workers !== null || !there || !study.isThere) return;
    chosen.workers = WORKERS.find((count) => count >= there) ?? WORKERS.at(-1);
    chosen.factor =
      FACTORS.find((each) => each >= Math.round((study.resources[1] ?? 1) / study.resources[0])) ?? FACTORS.at(-1);
    workers.set(chosen.workers);
    factor.set(chosen.factor);
  });
  const show = () => {
    const mine = predictions.of(chosen.factor, chosen.workers);
    if (chosen.deadline === null) setText(first, mine ? predictionText(mine, study) : "");
    drawTimes(chart, figure, predictions.all(chosen.factor), mine, study);
  };
  /** What is asked next: the choice itself, then the numbers of workers around it, as each takes seconds. */
  const question = () => {
    if (!study.parts.head?.best || chosen.workers === null) return null;
    const factors = ["reduction_factor", String(chosen.factor)];
    if (chosen.deadline !== null) return ["whatif", [["deadline", String(chosen.deadline)], factors]];
    const around = WORKERS.filter((count) => count === 1 || [0.5, 1, 2, 4].includes(count / lanesOf(study)));
    const next = [chosen.workers, ...around].find((count) => !predictions.of(chosen.factor, count)) ?? chosen.workers;
    return ["whatif", [["workers", String(next)], factors]];
  };
  const consider = section.askWhenSeen(study, question, (answer, [, given]) => {
    const asked = Object.fromEntries(given); // the sliders may stand elsewhere by now
    predictions.add(answer.predictions, asked.reduction_factor, study.position);
    replaceChildren(
      words,
      answer.text.map((sentence) => element("p", { text: sentence })),
    );
    if (chosen.deadline !== null && asked.deadline === String(chosen.deadline)) setText(first, answer.text[0] ?? "");
    show();
  });
  return section;
}

/** The predictions so far, by reduction factor and number of workers. Old ones of a study that grows are forgotten. */
class Predictions {
  constructor() {
    this._known = new Map();
  }

  add(answered, factor, position) {
    for (const [key, { at, position: then }] of this._known)
      if (then !== position && performance.now() - at > STALE) this._known.delete(key);
    for (const one of answered) this._known.set(`${factor} ${one.workers}`, { one, at: performance.now(), position });
  }

  of(factor, workers) {
    return this._known.get(`${factor} ${workers}`)?.one;
  }

  all(factor) {
    return [...this._known].filter(([key]) => key.startsWith(`${factor} `)).map(([, { one }]) => one);
  }
}

/** Return how many workers the study has or had at a time. */
function lanesOf({ parts: { workers } }) {
  return workers ? workers.lanes.length + workers.left_out : 0;
}

/** Return a slider over a list of values: its element, its input, and a function that sets it. */
function slider(title, values, changed) {
  const id = `slider-${title.toLowerCase().replaceAll(" ", "-")}`;
  const output = element("output", { for: id });
  const input = element("input", { id, type: "range", min: 0, max: values.length - 1, step: 1, value: 0 });
  const show = () => {
    const [, text] = values[Number(input.value)];
    input.setAttribute("aria-valuetext", text);
    setText(output, text);
  };
  input.addEventListener("input", () => {
    show();
    changed(values[Number(input.value)][0]);
  });
  show();
  return {
    input,
    element: element("div", { class: "slider" }, element("label", { for: id, text: title }), input, output),
    set: (value) => {
      input.value = values.findIndex(([each]) => each === value);
      show();
    },
  };
}

function predictionText({ workers, wall_seconds: wall, utilisation, best, reduction_factor: factor }, study) {
  const may = wall.low < wall.high ? `, perhaps ${secondsText(wall.low)} to ${secondsText(wall.high)}` : "";
  const parts = [`${secondsText(wall.likely)} in all${may}`, `workers busy ${shareText(utilisation)}`];
  if (best) parts.push(`best ${study.objective.metric} ${numberText(best.likely)}`);
  return `On ${plural(workers, "worker")} with reduction factor ${factor}: ${listed(parts)}.`;
}

function drawTimes(chart, figure, predictions, mine, study) {
  if (!predictions.length) return;
  const of = [...predictions].sort((a, b) => a.workers - b.workers);
  const [x, y] = [of.map((one) => one.workers), of.map((one) => one.wall_seconds.likely)];
  const tip = (at) => [
    `${plural(x[at], "worker")}: ${secondsText(y[at])}`,
    `${secondsText(of[at].wall_seconds.low)} to ${secondsText(of[at].wall_seconds.high)}`,
  ];
  const chosen = mine
    ? [{ kind: "points", color: "--bad", size: 12, alpha: 0.9, x: [mine.workers], y: [mine.wall_seconds.likely] }]
    : [];
  const most = Math.max(...of.map((one) => one.wall_seconds.high));
  chart.draw(
    [
      { kind: "line", color: CATEGORIES[0], width: 2, x, y },
      { kind: "points", color: CATEGORIES[0], size: 7, alpha: 1, x, y, tip },
      ...chosen,
    ],
    {
      isLog: true,
      low: 0.85 * x[0],
      high: 1.18 * x.at(-1),
      ticks: x.map((count) => [count, countText(count)]),
      label: "workers",
    },
    timeAxis(1.1 * most, "wall time"),
  );
  const times = of.map((one) => `${one.workers}: ${secondsText(one.wall_seconds.likely)}`);
  figure.describe(`Wall time by number of workers: ${times.join(", ")}.`);
  figure.data(() => [
    [
      "scheduler",
      "reduction factor",
      "workers",
      "wall time",
      "or from",
      "to",
      "busy",
      `best ${study.objective.metric}`,
    ].map((title, place) => ({ title, text: !place })),
    of.map((one) => [
      one.scheduler,
      String(one.reduction_factor),
      countText(one.workers),
      secondsText(one.wall_seconds.likely),
      secondsText(one.wall_seconds.low),
      secondsText(one.wall_seconds.high),
      shareText(one.utilisation),
      one.best ? numberText(one.best.likely) : "",
    ]),
  ]);
}
