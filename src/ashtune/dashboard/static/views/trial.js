// The page of one trial: its curve and its configuration beside the best, its log, what became of it.

import { lineOf } from "../study/ask.js";
import { Chart, metricAxis, resourceAxis } from "../page/chart.js";
import { element, replaceChildren, setText, table } from "../page/dom.js";
import { Figure } from "../page/figure.js";
import { metricRange } from "../page/range.js";
import {
  bytesText,
  capital,
  countText,
  isNumber,
  numberText,
  secondsText,
  shortened,
  valueText,
} from "../page/text.js";
import { stateMark } from "./trials.js";

const EVERY = 2000;

export class TrialPage {
  constructor(study) {
    this._study = study;
    this._trial = null;
    this._position = null;
    this._title = element("h1", { tabindex: -1 });
    this._about = element("p", { class: "about" });
    this._remark = element("p", { class: "remark quiet", role: "status" });
    this._curves = element("div", { class: "pair" });
    this._rest = element("div");
    this._charts = new Map();
    this._shown = "";
    this._back = element("a", { text: "↑ back to the study" });
    this._previous = element("a", { text: "← the one before" });
    this._next = element("a", { text: "the next →" });
    this.element = element(
      "article",
      { class: "trial", hidden: true, "aria-label": "Trial" },
      element("p", { class: "links" }, this._back, this._previous, this._next),
      this._title,
      this._about,
      this._remark,
      this._curves,
      this._rest,
    );
    setInterval(() => this._again(), EVERY);
  }

  /** Show a trial. @param back The address that the link back goes to. */
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
    replaceChildren(this._about);
    replaceChildren(this._rest);
    replaceChildren(this._curves);
    for (const { chart } of this._charts.values()) chart.destroy();
    this._charts.clear();
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
      this._position = Math.min(this._position, position); // the server's answer may be an older one: asked again
      setText(this._remark, "");
      this._draw(answer);
    } catch (problem) {
      const line = lineOf(problem);
      if (trial !== this._trial) return;
      this._position = null; // asked again, though the study stands still
      setText(this._remark, line);
    }
  }

  _draw(answer) {
    const shown = JSON.stringify(answer);
    if (shown === this._shown) return;
    this._shown = shown;
    const { head } = this._study.parts;
    const unit = head?.unit ?? "epoch";
    document.title = `trial ${answer.trial} · ${head?.name ?? ""}`;
    const words = [
      isNumber(answer.rung) ? `rung ${answer.rung}` : "no result yet",
      `${countText(answer.resource)} ${unit}s trained`,
      ...Object.entries(answer.metrics ?? {}).map(([name, value]) => `${name} ${numberText(value)}`),
      isNumber(answer.seconds) ? secondsText(answer.seconds) : "",
      answer.origin ? `proposed by: ${answer.origin}` : "",
    ].filter(Boolean);
    replaceChildren(this._about, stateMark(answer.status), ` · ${words.join(" · ")}`);
    this._next.hidden = !(answer.trial < head?.started - 1);
    this._drawCurves(answer, head);
    replaceChildren(
      this._rest,
      answer.reason && part("Why", element("p", { class: "bad", text: answer.reason })),
      answer.traceback && part("Traceback", pre(answer.traceback, "Traceback")),
      part("Configuration", configurationTable(answer.configuration, head?.best?.trial === answer.trial)),
      element(
        "div",
        { class: "pair" },
        part("What happened", historyList(answer.history)),
        part("Checkpoints", checkpointsTable(answer.checkpoints, unit)),
      ),
      part(
        "What it printed",
        answer.log ? pre(answer.log, "Log", answer.log_is_cut) : element("p", { class: "quiet", text: "nothing" }),
      ),
    );
  }

  _drawCurves({ trial, curve, best_curve: bestCurve }, head) {
    const { resources } = this._study;
    for (const [metric, own] of Object.entries(curve)) {
      if (!own.resource.length) continue;
      if (!this._charts.has(metric)) {
        const figure = new Figure(capital(metric));
        this._curves.append(figure.element);
        this._charts.set(metric, { figure, chart: new Chart(figure.plot, 240) });
      }
      const { figure, chart } = this._charts.get(metric);
      const best = bestCurve?.[metric] ?? { resource: [], value: [] };
      const mode = head?.objectives.find((each) => each.metric === metric)?.mode ?? "min";
      const line = (of, color, width, name) => ({
        kind: "line",
        color,
        width,
        x: of.resource,
        y: of.value,
        tip: (at) => [name, `${numberText(of.value[at])} at ${countText(of.resource[at])}`],
      });
      const dots = { ...line(own, "--accent", 2, `trial ${trial}`), kind: "points", size: 6, alpha: 1 };
      chart.draw(
        [line(best, "--quiet", 2, "the best"), line(own, "--accent", 2.5, `trial ${trial}`), dots],
        resourceAxis(resources, head?.unit ?? "epoch", [own, bestCurve?.[metric] ?? own]),
        metricAxis(metricRange([...own.value, ...best.value], mode), metric),
      );
      figure.legend([
        ["var(--accent)", `trial ${trial}`, "line"],
        ["var(--quiet)", "the best", "line"],
      ]);
      const [last, lastOfBest] = [own, best].map(({ value }) => numberText(value.findLast(isNumber)));
      figure.describe(`${capital(metric)} of trial ${trial}: ${last} at last; of the best: ${lastOfBest}.`);
      figure.data(() => {
        const others = new Map(best.resource.map((at, place) => [at, best.value[place]]));
        const rows = own.resource.map((at, place) => [
          countText(at),
          numberText(own.value[place]),
          others.has(at) ? numberText(others.get(at)) : "",
        ]);
        return [[{ title: head?.unit ?? "epoch" }, { title: `trial ${trial}` }, { title: "the best" }], rows];
      });
    }
  }
}

function part(title, ...children) {
  return element("section", { class: "part" }, element("h2", { text: title }), ...children);
}

function pre(text, label, isCut = false) {
  return element(
    "div",
    {},
    isCut && element("p", { class: "quiet", text: "the end of it:" }),
    element("pre", { tabindex: 0, role: "region", "aria-label": label, "data-key": label, text }),
  );
}

function configurationTable(configuration, isBest) {
  const columns = [
    { title: "hyperparameter", text: true },
    { title: "value" },
    ...(isBest ? [] : [{ title: "of the best" }]),
  ];
  const rows = configuration.map(({ name, value, best_value: best }) => {
    const isOther = JSON.stringify(value) !== JSON.stringify(best);
    const own = element(isOther && !isBest ? "b" : "span", { text: shortened(valueText(value), 60) });
    return [shortened(name, 60), own, ...(isBest ? [] : [shortened(valueText(best), 60)])];
  });
  return table("Configuration", columns, rows);
}

function historyList(history) {
  return element(
    "ol",
    { class: "history", tabindex: 0, "aria-label": "What happened", "data-key": "history" },
    history.map(({ time, text }) =>
      element("li", {}, element("span", { class: "quiet", text: secondsText(time) }), ` ${text}`),
    ),
  );
}

function checkpointsTable(checkpoints, unit) {
  if (!checkpoints.length) return element("p", { class: "quiet", text: "none is kept" });
  return table(
    "Checkpoints",
    [{ title: unit }, { title: "size" }],
    checkpoints.map(({ resource, bytes }) => [countText(resource), bytesText(bytes)]),
  );
}
