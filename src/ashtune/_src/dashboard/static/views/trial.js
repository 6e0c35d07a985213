// The page of one trial: its curve and configuration next to those of the best trial, its log and its history.

import { element, replaceChildren, setText, table } from "../page/dom.js";
import { newFigures } from "../page/figure.js";
import { newSection } from "../page/section.js";
import {
  bytesText, capital, countText, isNumber, joined, plural, secondsText, shortened, valueText,
} from "../page/text.js";
import { historyList } from "./notes.js";
import { chooser, chosenLink, stateMark, stateText } from "./trials.js";

const EVERY = 2000;

/** Return the page of a trial: its element, and a function that shows a trial. */
export function newTrialPage(study) {
  const section = newSection(study, "trial", "Trial", "", "", "h1");
  let trial = -1;
  const about = element("p.about");
  const curves = element("div.pair");
  const figures = newFigures(curves, capital);
  const rest = element("div");
  const choice = element("label");
  const back = element("a", "↑ back to the study");
  const previous = element("a", "← the one before");
  const next = element("a", "the next →");
  /** The answer that is shown, as JSON. */
  let shown = "";
  section.isEmpty = () => section.element.hidden;
  section.remark.role = "status";
  section.element.classList.add("trial");
  section.element.hidden = true;
  section.element.prepend(element("p.links", back, previous, next, choice, chosenLink()));
  section.body.append(about, curves, rest);

  /** @param {TrialAnswer} answer */
  function draw(answer) {
    const now = JSON.stringify({ ...answer, position: 0 });
    if (now === shown || answer.trial !== trial) return;
    shown = now;
    const { unit, parts: { head } } = study;
    const words = [
      isNumber(answer.rung) ? `rung ${answer.rung}` : "no result yet",
      `${plural(answer.resource, unit)} trained`,
      ...Object.entries(answer.metrics).map(([name, value]) => `${name} ${study.metricText(name, value)}`),
      isNumber(answer.seconds) && secondsText(answer.seconds),
      answer.origin && `by: ${answer.origin}`,
    ];
    replaceChildren(about, stateMark(answer.status, stateText(answer.status, study)), ` · ${joined(...words)}`);
    next.hidden = !(trial < head?.started - 1);
    figures.show(Object.entries(answer.curves));
    replaceChildren(
      rest,
      answer.reason && part("Why", element("p.bad", answer.reason)),
      answer.traceback && part("Traceback", preformatted(answer.traceback, "Traceback")),
      part("Configuration", configurationTable(answer.configuration, head?.best?.trial === trial)),
      element(
        "div.pair",
        part("What happened", historyList("What happened", answer.history)),
        part("Checkpoints", checkpointsTable(answer.checkpoints, unit)),
      ),
      part(
        "What it printed",
        answer.log_is_cut && element("p.quiet", "only the end:"),
        answer.log ? preformatted(answer.log, "Log") : element("p.quiet", "nothing"),
      ),
    );
  }

  const consider = section.askWhenSeen(() => [`trials/${trial}`], draw, { every: EVERY });

  return {
    element: section.element,

    /** @param {number} number @param link The target of the link back. */
    show(number, link) {
      if (trial !== number) {
        shown = "";
        for (const each of [about, rest]) replaceChildren(each);
        figures.show([]);
        section.say("");
        next.hidden = true;
      }
      trial = number;
      back.href = link;
      setText(section.title, `Trial ${number}`);
      previous.href = `#trial/${Math.max(0, number - 1)}`;
      previous.hidden = number === 0;
      next.href = `#trial/${number + 1}`;
      replaceChildren(choice, chooser(number), " compare");
      section.element.focus({ preventScroll: true });
      consider();
    },
  };
}

function part(title, ...children) {
  return element("section.part", element("h2", title), ...children);
}

/** Return a scrolling text of several lines. @param key Identifies the text if there are several. */
export function preformatted(text, label, key = label) {
  return element("pre", { tabindex: 0, role: "region", "aria-label": label, "data-key": key }, text);
}

function configurationTable(configuration, isBest) {
  const short = (value) => shortened(valueText(value), 60);
  const rows = configuration.map(({ name, value, best_value: best }) => {
    const isOther = !isBest && JSON.stringify(value) !== JSON.stringify(best);
    return [shortened(name, 60), element(isOther ? "b" : "span", short(value)), short(best)];
  });
  const columns = ["hyperparameter", "value", "of the best"];
  const count = isBest ? 2 : 3;
  return table("Configuration", columns.slice(0, count), rows.map((row) => row.slice(0, count)));
}

function checkpointsTable(checkpoints, unit) {
  if (!checkpoints.length) return element("p.quiet", "none is kept");
  return table(
    "Checkpoints",
    [unit, "size"],
    checkpoints.map(({ resource, bytes }) => [countText(resource), bytesText(bytes)]),
  );
}
