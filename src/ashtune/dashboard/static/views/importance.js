// Which hyperparameters mattered: a bar for each, with how far it may be off.

import { Figure } from "../page/figure.js";
import { element, replaceChildren, setText } from "../page/dom.js";
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
  const list = element("ol", { class: "bars" });
  const words = element("p", { class: "quiet" });
  figure.plot.append(list);
  section.body.append(words, figure.element);
  section.askWhenSeen(
    study,
    () => (study.parts.head?.best ? ["importance", []] : null),
    (answer) => {
      const sentences = [answer.text, answer.among_best].filter(Boolean);
      setText(words, sentences.map((each) => `${capital(each)}.`).join(" "));
      drawBars(list, answer);
      figure.element.hidden = !answer.weights.length;
      figure.describe(
        `Importance: ${answer.weights
          .slice(0, BARS)
          .map(({ name, weight }) => `${name} ${numberText(weight, 2)}`)
          .join(", ")}.`,
      );
      figure.data(() => [
        ["hyperparameter", "importance", "standard deviation"].map((title, place) => ({ title, text: !place })),
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

function drawBars(list, { weights, is_meaningful: isMeaningful }) {
  const shown = weights.slice(0, BARS);
  const most = Math.max(1e-9, ...shown.map(({ weight, error }) => weight + (error ?? 0)));
  const percent = (value) => `${Math.max(0, Math.min(100, (100 * value) / most))}%`;
  replaceChildren(
    list,
    shown.map(({ name, weight, error }) => {
      const [bar, whisker] = [element("i", { class: isMeaningful ? null : "faint" }), element("em")];
      bar.style.width = percent(weight);
      whisker.style.left = percent(weight - (error ?? 0));
      whisker.style.width = `calc(${percent(weight + (error ?? 0))} - ${percent(weight - (error ?? 0))})`;
      return element(
        "li",
        {},
        element("span", { class: "name", title: name, text: shortened(name, 28) }),
        element("span", { class: "track" }, bar, whisker),
        element("span", { class: "number", text: isNumber(weight) ? Math.max(0, weight).toFixed(2) : "" }),
      );
    }),
  );
}
