// The drawing of parallel coordinates: axes, a line for each trial, and the ranges that are brushed.

import { PLACES } from "../looks.js";
import { hyperparameterAxis, metricAxis, namedAxis, placeOn, scattered, ticksOf, valueAt } from "../page/axis.js";
import { Canvas } from "../page/canvas.js";
import { slider } from "../page/dom.js";
import { countText, isNumber, shortened } from "../page/text.js";
import { colorOn, token } from "../page/theme.js";

const HEIGHT = 340;
const [TOP, BOTTOM, SIDE, LEAST] = [40, 26, 46, 96];
/** Where lines pass whose hyperparameter is not active: below the axis. */
const OFF = -0.07;
const JITTER = 0.11;

/** The axes, the lines and the ranges that are brushed. */
export class Coordinates {
  /** @param {HTMLElement} place @param changed Called when a range was brushed. */
  constructor(place, changed) {
    /** The last one is that of the metric. @type {Axis[]} */
    this.axes = [];
    /** @type {string[]} */
    this._names = [];
    this.trials = [];
    this.values = [];
    this._places = [];
    this._order = [];
    this._filters = new Set();
    this._brushes = new Map();
    this._changed = changed;
    this._drag = null;
    this._sliders = [];
    this._canvas = new Canvas(place, (context, width) => this._paint(context, width));
    const canvas = this._canvas.element;
    canvas.addEventListener("pointerdown", (event) => this._begin(event));
    canvas.addEventListener("pointermove", (event) => this._move(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => this._end());
  }

  get isBrushed() {
    return this._brushes.size > 0;
  }

  /** Take in an answer. What is brushed stays, by the names of the axes. @param {Answers["parallel"]} answer */
  draw({ axes, lines, values, trials, rungs, metric, mode }, { resources, unit }) {
    const hasRungs = new Set(rungs).size > 1;
    this.axes = [
      ...axes.map(hyperparameterAxis),
      ...(hasRungs ? [namedAxis(`${unit}s`, resources.map(countText))] : []),
      metricAxis(values, { metric, mode }),
    ];
    this._names = this.axes.map(({ label }) => label);
    this._filters = new Set([...axes.map(({ name }) => name), metric]);
    this.trials = trials;
    this.values = values;
    this._places = lines.map((line, at) =>
      [...line, ...(hasRungs ? [rungs[at]] : []), values[at]].map((value, axis) =>
        placeOfTrial(this.axes[axis], value, trials[at]),
      ),
    );
    const sign = mode === "max" ? -1 : 1;
    const loss = (at) => sign * (values[at] ?? sign * Infinity);
    this._order = [...trials.keys()].sort((a, b) => loss(a) - loss(b) || a - b);
    for (const name of this._brushes.keys()) if (!this._names.includes(name)) this._brushes.delete(name);
    this._repaint();
  }

  /** Return the lines within all brushes, the best first. */
  within() {
    return this._order.filter((at) => this._isWithin(at));
  }

  /** Return the brushes as filters of the table of trials, which knows no range of rungs. */
  ranges() {
    const brushes = [...this._brushes].filter(([name]) => this._filters.has(name));
    return brushes.map(([name, places]) => {
      const axis = this._axis(name);
      const [low, high] = places.map((place) => valueAt(axis, place));
      return axis.choices
        ? { name, low: String(Math.max(0, Math.ceil(low))), high: String(Math.floor(high)) }
        : { name, low: String(Number(low.toPrecision(6))), high: String(Number(high.toPrecision(6))) };
    });
  }

  /** Return the lines within all brushes as a table: its columns and its rows. */
  table() {
    const text = (place, number) => this._text(this.axes[number], place);
    const rows = this.within().map((at) => [`${this.trials[at]}`, ...this._places[at].map(text)]);
    return [["trial", ...this._names.map((name) => shortened(name, 24))], rows.reverse()];
  }

  clear() {
    this._brushes.clear();
    this._refresh();
  }

  /** Show two sliders for each axis. */
  showIn(place) {
    const names = JSON.stringify(this._names);
    if (place.dataset.shown !== names) {
      place.dataset.shown = names;
      this._sliders = this.axes.flatMap((axis, number) => [
        [axis.label, 0, this._slider(axis, `parallel-from-${number}`, "from", 0)],
        [axis.label, 1, this._slider(axis, `parallel-to-${number}`, "to", 1)],
      ]);
      place.replaceChildren(...this._sliders.map(([, , each]) => each.element));
    }
    for (const [name, end, each] of this._sliders) each.set((this._brushes.get(name) ?? [0, 1])[end]);
  }

  _slider({ label }, id, word, end) {
    const text = (place) => this._text(this._axis(label), place);
    return slider(id, `${shortened(label, 40)}, ${word}`, { max: 1, step: 0.01, value: end }, text, (value) => {
      const brush = [...(this._brushes.get(label) ?? [0, 1])];
      brush[end] = value;
      this._brush(label, Math.min(...brush), Math.max(...brush));
    });
  }

  /** @returns {Axis} */
  _axis(name) {
    return this.axes[this._names.indexOf(name)];
  }

  /** Return the value at a place on an axis in words. @param {Axis} axis @param {number | null} place */
  _text(axis, place) {
    return axis.text(place === null ? null : valueAt(axis, place));
  }

  _brush(name, low, high) {
    if (low <= 0 && high >= 1) this._brushes.delete(name);
    else this._brushes.set(name, [low, high]);
    this._refresh();
  }

  _refresh() {
    this._repaint();
    this._changed();
  }

  _repaint() {
    this._canvas.draw(HEIGHT, 2 * SIDE + LEAST * (this.axes.length - 1));
  }

  _isWithin(at) {
    return [...this._brushes].every(([name, [low, high]]) => {
      const place = this._places[at][this._names.indexOf(name)];
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
        const share = 1 - Math.log1p(rank) / Math.log1p(last); // of the first place 1
        context.strokeStyle = isIn ? colorOn(PLACES, share) : token("--line");
        context.globalAlpha = isIn ? 0.25 + 0.7 * share : this.isBrushed ? 0.35 : 1;
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
    const isLast = number === this.axes.length - 1;
    context.fillStyle = token("--quiet");
    context.fillRect(x - 0.5, this._y(1), 1, this._y(0) - this._y(1));
    context.textAlign = "center";
    context.fillStyle = token("--ink");
    const room = Math.floor((width - 2 * SIDE) / Math.max(1, this.axes.length - 1) / 6.8);
    context.fillText(
      shortened(axis.label, Math.max(8, room)),
      Math.min(Math.max(x, SIDE), width - SIDE),
      number % 2 && room < 14 ? 10 : 24,
    );
    context.textAlign = isLast ? "right" : "left";
    for (const [at, text] of ticksOf(axis, HEIGHT - TOP - BOTTOM, 16))
      paintLabel(context, text, x + (isLast ? -5 : 5), this._y(placeOn(axis, at)));
    const brush = this._brushes.get(axis.label);
    if (!brush) return;
    context.fillStyle = token("--accent");
    context.globalAlpha = 0.28;
    context.fillRect(x - 7, this._y(brush[1]), 14, Math.max(3, this._y(brush[0]) - this._y(brush[1])));
    context.globalAlpha = 1;
  }

  /** Return the name of the axis near the pointer, and the place there. @returns {[string | null, number]} */
  _axisAt({ offsetX, offsetY }) {
    const width = this._canvas.element.clientWidth;
    const axis = this.axes.find((_, number) => Math.abs(offsetX - this._x(width, number)) < 14);
    const place = (HEIGHT - BOTTOM - offsetY) / (HEIGHT - TOP - BOTTOM);
    return [axis?.label ?? null, Math.max(0, Math.min(1, place))];
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
  context.strokeStyle = token("--paper");
  context.lineWidth = 3;
  context.globalAlpha = 0.85;
  context.strokeText(text, x, y);
  context.globalAlpha = 1;
  context.fillStyle = token("--quiet");
  context.fillText(text, x, y);
}

/** Return the place of a value on an axis; lines of one choice pass a little beside each other. */
function placeOfTrial(axis, value, trial) {
  if (!isNumber(value)) return null;
  return placeOn(axis, axis.choices ? value + JITTER * scattered(trial) : value);
}
