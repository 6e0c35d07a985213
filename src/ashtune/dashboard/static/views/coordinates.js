// The drawing of parallel coordinates: axes, a line for each trial, and the ranges that are brushed.

import { Canvas, logTicks, roundTicks } from "../page/canvas.js";
import { element, setText } from "../page/dom.js";
import { metricRange, placeOn, scattered, valueAt } from "../page/range.js";
import { mixed, token } from "../page/theme.js";
import { countText, isNumber, numberText, shortened, valueText } from "../page/text.js";

const HEIGHT = 340;
const [TOP, BOTTOM, SIDE, LEAST] = [40, 26, 46, 96];
/** Where lines pass whose hyperparameter is not active: below the axis. */
const OFF = -0.07;
const JITTER = 0.11;
/** From the first place to the last. */
const SCALE = [
  [0, "#cf4a5c"],
  [0.08, "#e27a35"],
  [0.3, "#3fa66b"],
  [0.6, "#3f7fd1"],
  [1, "#8a94a3"],
];

/** The axes, the lines and the ranges that are brushed. */
export class Coordinates {
  constructor(place, changed) {
    this.axes = [];
    this.trials = [];
    this.values = [];
    this._places = [];
    this._order = [];
    this._brushes = new Map();
    this._changed = changed;
    this._drag = null;
    this._canvas = new Canvas(place, (context, width) => this._paint(context, width));
    const canvas = this._canvas.element;
    canvas.addEventListener("pointerdown", (event) => this._begin(event));
    canvas.addEventListener("pointermove", (event) => this._move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => this._end());
  }

  get isBrushed() {
    return this._brushes.size > 0;
  }

  /** Take in an answer. What is brushed stays, by the names of the axes. */
  draw({ axes, lines, values, trials, rungs, metric, mode }, study) {
    const { resources } = study;
    const range = metricRange(values, mode ?? study.objective.mode);
    const shownRungs = [...new Set(rungs)].length > 1;
    this.axes = [
      ...axes.map(axisOf),
      ...(shownRungs ? [namedAxis(`${study.unit}s`, resources.map(countText), null)] : []),
      numberAxis(metric, range),
    ];
    this.trials = trials;
    this.values = values;
    this._places = lines.map((line, at) =>
      [...line, ...(shownRungs ? [rungs[at]] : []), values[at]].map((value, axis) =>
        placeOf(this.axes[axis], value, trials[at]),
      ),
    );
    const sign = (mode ?? study.objective.mode) === "max" ? -1 : 1;
    this._order = trials
      .map((_, at) => at)
      .sort((a, b) => sign * ((values[a] ?? Infinity * sign) - (values[b] ?? Infinity * sign)) || a - b);
    for (const name of this._brushes.keys())
      if (!this.axes.some((axis) => axis.name === name)) this._brushes.delete(name);
    this._canvas.draw(HEIGHT, 2 * SIDE + LEAST * (this.axes.length - 1));
  }

  /** Return the lines within all brushes, the best first. */
  within() {
    return this._order.filter((at) => this._isWithin(at));
  }

  /** Return the brushes as filters of the table of trials. */
  ranges() {
    return [...this._brushes]
      .map(([name, [low, high]]) => {
        const axis = this.axes.find((each) => each.name === name);
        if (!axis.filter) return null;
        const [from, to] = [low, high].map((place) => valueAt(axis, place));
        return axis.choices
          ? { name, low: String(Math.max(0, Math.ceil(from))), high: String(Math.floor(to)) }
          : { name, low: String(Number(from.toPrecision(6))), high: String(Number(to.toPrecision(6))) };
      })
      .filter(Boolean);
  }

  /** Return the lines within all brushes as a table: its columns and its rows. */
  table() {
    const text = (axis, place) => (place === null ? "not active" : axis.text(valueAt(axis, place)));
    const rows = this.within().map((at) => [
      `${this.trials[at]}`,
      ...this._places[at].map((place, number) => text(this.axes[number], place)),
    ]);
    return [
      ["trial", ...this.axes.map((axis) => shortened(axis.name, 24))].map((title) => ({ title })),
      rows.reverse(),
    ];
  }

  clear() {
    this._brushes.clear();
    this._refresh();
  }

  /** Show two sliders for each axis. */
  showIn(place) {
    const names = JSON.stringify(this.axes.map((axis) => axis.name));
    if (place.dataset.shown !== names) {
      place.dataset.shown = names;
      place.replaceChildren(
        ...this.axes.map((axis) =>
          element(
            "fieldset",
            {},
            element("legend", { text: shortened(axis.name, 40) }),
            this._slider(axis, 0, "from"),
            this._slider(axis, 1, "to"),
          ),
        ),
      );
    }
    for (const input of place.querySelectorAll("input")) {
      const [low, high] = this._brushes.get(input.dataset.axis) ?? [0, 1];
      const end = input.dataset.end === "0" ? low : high;
      if (document.activeElement !== input) input.value = end;
      const axis = this.axes.find((each) => each.name === input.dataset.axis);
      input.setAttribute("aria-valuetext", axis.text(valueAt(axis, end)));
      setText(input.nextElementSibling, axis.text(valueAt(axis, end)));
    }
  }

  _slider(axis, end, word) {
    const input = element("input", {
      type: "range",
      min: 0,
      max: 1,
      step: 0.01,
      value: end,
      "data-axis": axis.name,
      "data-end": end,
      "aria-label": `${axis.name}, ${word}`,
    });
    input.addEventListener("input", () => {
      const brush = [...(this._brushes.get(axis.name) ?? [0, 1])];
      brush[end] = Number(input.value);
      this._brush(axis.name, Math.min(...brush), Math.max(...brush));
    });
    return element("label", {}, `${word} `, input, element("output"));
  }

  _brush(name, low, high) {
    if (low <= 0 && high >= 1) this._brushes.delete(name);
    else this._brushes.set(name, [low, high]);
    this._refresh();
  }

  _refresh() {
    this._canvas.draw(HEIGHT, 2 * SIDE + LEAST * (this.axes.length - 1));
    this._changed();
  }

  _isWithin(at) {
    return [...this._brushes].every(([name, [low, high]]) => {
      const place = this._places[at][this.axes.findIndex((axis) => axis.name === name)];
      return place !== null && place >= low - 1e-9 && place <= high + 1e-9;
    });
  }

  _x(width, axis) {
    return this.axes.length > 1 ? SIDE + ((width - 2 * SIDE) * axis) / (this.axes.length - 1) : width / 2;
  }

  _y(place) {
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * Math.max(OFF, Math.min(1.04, place));
  }

  _paint(context, width) {
    const last = Math.max(1, this._order.length - 1);
    const painted = [...this._order.entries()].reverse();
    for (const isIn of [false, true]) {
      for (const [rank, at] of painted) {
        if (this._isWithin(at) !== isIn) continue;
        const share = Math.log1p(rank) / Math.log1p(last);
        context.strokeStyle = isIn ? rampColor(share) : token("--line");
        context.globalAlpha = isIn ? 0.25 + 0.7 * (1 - share) : this.isBrushed ? 0.35 : 1;
        context.lineWidth = isIn && rank === 0 ? 2.5 : isIn ? 1.3 : 1;
        this._paintLine(context, width, this._places[at]);
      }
    }
    context.globalAlpha = 1;
    this.axes.forEach((axis, number) => this._paintAxis(context, width, axis, this._x(width, number), number));
  }

  _paintLine(context, width, places) {
    context.beginPath();
    places.forEach((place, axis) => {
      const [x, y] = [this._x(width, axis), this._y(place ?? OFF)];
      if (!axis) context.moveTo(x, y);
      else {
        const half = (x - this._x(width, axis - 1)) / 2;
        context.bezierCurveTo(x - half, this._y(places[axis - 1] ?? OFF), x - half, y, x, y);
      }
    });
    context.stroke();
  }

  _paintAxis(context, width, axis, x, number) {
    context.fillStyle = token("--quiet");
    context.fillRect(x - 0.5, this._y(1), 1, this._y(0) - this._y(1));
    context.textAlign = "center";
    context.fillStyle = token("--ink");
    const room = Math.floor((width - 2 * SIDE) / Math.max(1, this.axes.length - 1) / 6.8);
    context.fillText(
      shortened(axis.name, Math.max(8, room)),
      Math.min(Math.max(x, SIDE), width - SIDE),
      number % 2 && room < 14 ? 10 : 24,
    );
    context.textAlign = number === this.axes.length - 1 ? "right" : "left";
    for (const [at, text] of axis.ticks) {
      const place = placeOn(axis, at);
      if (place < -0.001 || place > 1.001) continue;
      paintLabel(context, text, x + (number === this.axes.length - 1 ? -5 : 5), this._y(place));
    }
    const brush = this._brushes.get(axis.name);
    if (!brush) return;
    context.fillStyle = token("--accent");
    context.globalAlpha = 0.28;
    context.fillRect(x - 7, this._y(brush[1]), 14, Math.max(3, this._y(brush[0]) - this._y(brush[1])));
    context.globalAlpha = 1;
  }

  _axisAt(event) {
    const box = this._canvas.element.getBoundingClientRect();
    const number = this.axes.findIndex((_, axis) => Math.abs(event.clientX - box.left - this._x(box.width, axis)) < 14);
    const place = (HEIGHT - BOTTOM - (event.clientY - box.top)) / (HEIGHT - TOP - BOTTOM);
    return [this.axes[number]?.name ?? null, Math.max(0, Math.min(1, place))];
  }

  _begin(event) {
    const [name, place] = this._axisAt(event);
    if (name === null) return;
    event.preventDefault();
    this._drag = { name, from: place, to: place };
    this._canvas.element.setPointerCapture(event.pointerId);
  }

  _move(event) {
    const [name, place] = this._axisAt(event);
    this._canvas.element.classList.toggle("brushable", name !== null || this._drag !== null);
    if (this._drag === null) return;
    this._drag.to = place;
    this._brush(this._drag.name, Math.min(this._drag.from, place), Math.max(this._drag.from, place));
  }

  _end() {
    if (this._drag !== null && Math.abs(this._drag.to - this._drag.from) < 0.01) this._brush(this._drag.name, 0, 1);
    this._drag = null;
  }
}

/** Write a label with a rim of the page's colour, so that it can be read over lines. */
function paintLabel(context, text, x, y) {
  context.font = context.font.replace("12px", "11px");
  context.strokeStyle = token("--paper");
  context.lineWidth = 3;
  context.globalAlpha = 0.85;
  context.strokeText(text, x, y);
  context.globalAlpha = 1;
  context.fillStyle = token("--quiet");
  context.fillText(text, x, y);
  context.font = context.font.replace("11px", "12px");
}

function axisOf({ name, log: isLog, choices, low, high }) {
  if (choices.length) return namedAxis(name, choices.map(valueText), name);
  return numberAxis(name, { low, high: high > low ? high : low + 1, isLog: isLog && low > 0 });
}

function numberAxis(name, { low, high, isLog }) {
  const ticks = isLog ? logTicks(low, high) : roundTicks(low, high, 5);
  return { name, low, high, isLog, ticks: ticks.map((at) => [at, numberText(at)]), filter: name, text: numberText };
}

function namedAxis(name, names, filter) {
  return {
    name,
    low: -0.3,
    high: names.length - 0.7,
    isLog: false,
    choices: names,
    filter,
    ticks: names.map((text, place) => [place, shortened(text, 12)]),
    text: (at) => names[Math.max(0, Math.min(names.length - 1, Math.round(at)))],
  };
}

/** Return the place of a value on an axis; lines of one choice pass a little beside each other. */
function placeOf(axis, value, trial) {
  if (!isNumber(value)) return null;
  return placeOn(axis, axis.choices ? value + JITTER * scattered(trial) : value);
}

function rampColor(share) {
  const above = SCALE.findIndex(([at]) => at >= share);
  if (above <= 0) return SCALE[0][1];
  const [[from, a], [to, b]] = [SCALE[above - 1], SCALE[above]];
  return mixed(a, b, (share - from) / (to - from));
}
