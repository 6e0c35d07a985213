// The page of one trial: its curve and configuration next to those of the best trial, its log and its history.

import { element, replaceChildren, setText, table } from "../page/dom.js";
import { Figures } from "../page/figure.js";
import {
  bytesText, capital, countText, isNumber, numberText, plural, secondsText, shortened, valueText,
} from "../page/text.js";
import { lineOf } from "../study/ask.js";
import { historyList } from "./notes.js";
import { chooser, chosenLink, stateMark, stateText } from "./trials.js";

const EVERY = 2000;

export class TrialPage {
  constructor(study) {
    this._study = study;
    this._trial = null;
    this._position = null;
    this._title = element("h1", { tabindex: -1 });
    this._about = element("p.about");
    this._remark = element("p.remark.quiet", { role: "status" });
    this._curves = element("div.pair");
    this._rest = element("div");
    this._figures = new Figures(this._curves, capital);
    this._choice = element("label");
    this._shown = "";
    this._back = element("a", "↑ back to the study");
    this._previous = element("a", "← the one before");
    this._next = element("a", "the next →");
    this.element = element(
      "article",
      { class: "trial", hidden: true, "aria-label": "Trial" },
      element("p.links", this._back, this._previous, this._next, this._choice, chosenLink()),
      this._title,
      this._about,
      this._remark,
      this._curves,
      this._rest,
    );
    setInterval(() => this._again(), EVERY);
  }

  /** Show a trial. @param back The target of the link back. */
  show(trial, back) {
    this.element.hidden = false;
    this._trial = trial;
    this._position = null;
    this._back.href = back;
    setText(this._title, `Trial ${trial}`);
    this._previous.href = `#trial/${Math.max(0, trial - 1)}`;
    this._previous.hidden = trial === 0;
    this._next.href = `#trial/${trial + 1}`;
    this._next.hidden = true;
    replaceChildren(this._choice, chooser(trial), " compare");
    for (const each of [this._about, this._rest]) replaceChildren(each);
    this._figures.show([]);
    this._shown = "";
    this._ask();
    this._title.focus({ preventScroll: true });
  }

  hide() {
    this.element.hidden = true;
    this._trial = null;
  }

  _again() {
    if (this._trial !== null && !document.hidden && this._study.position !== this._position) this._ask();
  }

  async _ask() {
    const trial = this._trial;
    this._position = this._study.position;
    try {
      const { position, ...answer } = await this._study.ask(`trials/${trial}`);
      if (trial !== this._trial) return;
      this._position = Math.min(this._position, position); // an older answer: the question is asked again
      setText(this._remark, "");
      this._draw(answer);
    } catch (problem) {
      const line = lineOf(problem);
      if (trial !== this._trial) return;
      this._position = null; // asked again, even if the study does not change
      setText(this._remark, line);
    }
  }

  /** @param {TrialAnswer} answer */
  _draw(answer) {
    const shown = JSON.stringify(answer);
    if (shown === this._shown) return;
    this._shown = shown;
    const { unit, parts } = this._study;
    document.title = `trial ${answer.trial} · ${parts.head?.name ?? ""}`;
    const words = [
      isNumber(answer.rung) ? `rung ${answer.rung}` : "no result yet",
      `${plural(answer.resource, unit)} trained`,
      ...Object.entries(answer.metrics).map(([name, value]) => `${name} ${numberText(value)}`),
      isNumber(answer.seconds) && secondsText(answer.seconds),
      answer.origin && `by: ${answer.origin}`,
    ];
    replaceChildren(this._about, stateMark(answer.status, stateText(answer.status, this._study)), ` · ${words.filter(Boolean).join(" · ")}`);
    this._next.hidden = !(answer.trial < parts.head?.started - 1);
    this._figures.show(Object.entries(answer.curves));
    replaceChildren(
      this._rest,
      answer.reason && part("Why", element("p.bad", answer.reason)),
      answer.traceback && part("Traceback", preformatted(answer.traceback, "Traceback")),
      part("Configuration", configurationTable(answer.configuration, parts.head?.best?.trial === answer.trial)),
      element(
        "div.pair",
        part("What happened", historyList("What happened", answer.history)),
        part("Checkpoints", checkpointsTable(answer.checkpoints, unit)),
      ),
      part(
        "What it printed",
        answer.log_is_cut && element("p.quiet", "the end of it:"),
        answer.log ? preformatted(answer.log, "Log") : element("p.quiet", "nothing"),
      ),
    );
  }
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
