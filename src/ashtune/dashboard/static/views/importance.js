// Which hyperparameters mattered: a bar for each, with how far it may be off.

import { namedAxis, numberAxis } from "../page/axis.js";
import { element, setText } from "../page/dom.js";
import { Figure } from "../page/figure.js";
import { Section } from "../page/section.js";
import { capital, isNumber, numberText, shortened } from "../page/text.js";

const BARS = 20;

export function importance(study) {
  const section = new Section(
    "importance",
    "Which hyperparameter matters?",
    "A forest learns from all trials how good a configuration is. A bar is a hyperparameter's share of the variance.",
    "Importance",
  );
  const figure = new Figure();
  const words = element("p", { class: "quiet" });
  section.body.append(words, figure.element);
  section.askWhenSeen(
    study,
    () => (study.parts.head?.best ? ["importance", []] : null),
    (/** @type {Answers["importance"]} */ answer) => {
      const sentences = [answer.text, answer.among_best].filter(Boolean);
      setText(words, sentences.map((each) => `${capital(each)}.`).join(" "));
      figure.element.hidden = !answer.weights.length;
      drawBars(figure, answer.weights.slice(0, BARS), answer.is_meaningful);
      figure.data(() => [
        ["hyperparameter", "importance", "standard deviation"],
        answer.weights.map(({ name, weight, error }) => [
          shortened(name, 60),
          numberText(weight, 3),
          isNumber(error) ? numberText(error, 2) : "",
        ]),
      ]);
    },
  );
  return section;
}

/** @param {Figure} figure @param {Weight[]} shown */
function drawBars(figure, shown, isMeaningful) {
  const weights = shown.map(({ weight }) => Math.max(0, weight ?? 0));
  const [low, high] = [-1, 1].map((sign) => shown.map(({ weight, error }) => (weight ?? 0) + sign * (error ?? 0)));
  const [y, names] = [[...shown.keys()], shown.map(({ name }) => name)];
  const text = (at) => `${names[at]} ${numberText(shown[at].weight, 2)}`;
  const x = low.map((end) => Math.max(0, end));
  figure.draw(
    [
      { kind: "bars", x: y.map(() => 0), end: weights, y, thick: 18, color: isMeaningful ? "--accent" : "--quiet" },
      { kind: "frames", x, end: high, y, thick: 8, color: "--ink" },
      { kind: "texts", x, y, color: "--ink", lines: (at) => [weights[at].toFixed(2)] },
    ],
    numberAxis("", 0, 1.15 * Math.max(1e-9, ...high)),
    { ...namedAxis("", names), low: shown.length - 0.5, high: -0.5 },
    34 + 26 * shown.length,
  );
  figure.describe(`Importance: ${y.map(text).join(", ")}.`);
}
