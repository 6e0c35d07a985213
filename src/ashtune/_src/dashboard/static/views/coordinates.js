// The drawing of parallel coordinates: axes, a line for each trial, and the selected ranges (brushes).

import { placeOn, textOn, ticksOf, valueAt } from "../page/axis.js";
import { Canvas, paintLabel } from "../page/canvas.js";
import { slider } from "../page/dom.js";
import { isNumber, shortened } from "../page/text.js";
import { token } from "../page/theme.js";
import { chosenTrials, colorOf } from "../study/chosen.js";

const HEIGHT = 340;
const [TOP, BOTTOM, SIDE, LEAST] = [40, 26, 46, 96];
/** The position, below the axis, of lines whose hyperparameter is not active. */
const OFF = -0.07;
/** The opacity of other lines while trials are chosen. */
const BEHIND = 0.4;

/** The axes, the lines and the brushes. */
export class Coordinates {
  /** @param {HTMLElement} place @param changed Called with the axes whose brushes have changed. */
  constructor(place, changed) {
    /** The last axis is that of the metric. @type {Axis[]} */
    this.axes = [];
    /** @type {string[]} */
    this._names = [];
    this.trials = [];
    this.values = [];
    this._places = [];
    this._colors = [];
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

  /** Take in a figure. Brushes are kept by the names of the axes. @param {CoordinatesValue} figure */
  draw({ axes, lines, trials, colors }, { names, objective }) {
    this.axes = axes;
    this._names = axes.map(({ name }) => name);
    this._filters = new Set([...names, objective.metric]);
    this.trials = trials;
    this.values = lines.map((line) => line.at(-1));
    this._colors = colors;
    this._places = lines.map((line) => line.map((value, at) => (isNumber(value) ? placeOn(axes[at], value) : null)));
    for (const name of this._brushes.keys()) if (!this._names.includes(name)) this._brushes.delete(name);
    this._repaint();
  }

  /** Return the lines within all brushes, best first. */
  within() {
    return [...this.trials.keys()].filter((at) => this._isWithin(at));
  }

  /** Whether the table of trials has a filter for an axis; it has none for a range of rungs. */
  _isFilter(name) {
    return this._filters.has(name) && this._names.includes(name);
  }

  /** Return brushes as filters of the table. A brush that reaches an end of its axis is open there. @param {Set} names */
  ranges(names) {
    const brushes = [...this._brushes].filter(([name]) => names.has(name) && this._isFilter(name));
    return brushes.map(([name, places]) => {
      const axis = this._axis(name);
      const [low, high] = places.map((place) => valueAt(axis, place));
      const [from, to] = isWhole(axis)
        ? [Math.ceil(low), Math.floor(high)]
        : [low, high].map((value) => Number(value.toPrecision(6)));
      return { name, low: places[0] > 0 ? String(from) : "", high: places[1] < 1 ? String(to) : "" };
    });
  }

  /** Take filters of the table as the brushes of these axes. */
  brush(ranges) {
    for (const name of this._filters) this._brushes.delete(name);
    for (const { name, low, high } of ranges.filter((each) => this._isFilter(each.name))) {
      const axis = this._axis(name);
      const half = isWhole(axis) ? 0.5 : 0; // lines of a choice are beside each other
      const [from, to] = [low === "" ? 0 : placeOn(axis, low - half), high === "" ? 1 : placeOn(axis, Number(high) + half)];
      this._brushes.set(name, [Math.max(0, from), Math.min(1, to)]);
    }
    this._repaint();
  }

  /** Return the columns and rows of a table of the lines within all brushes. */
  table() {
    const text = (place, number) => this._text(this.axes[number], place);
    const rows = this.within().map((at) => [`${this.trials[at]}`, ...this._places[at].map(text)]);
    return [["trial", ...this._names.map((name) => shortened(name, 24))], rows.reverse()];
  }

  clear() {
    const names = [...this._brushes.keys()];
    this._brushes.clear();
    this._refresh(names);
  }

  /** Show two sliders for each axis. */
  showIn(place) {
    const names = JSON.stringify(this._names);
    if (place.dataset.shown !== names) {
      place.dataset.shown = names;
      this._sliders = this.axes.flatMap((axis, number) => [
        [axis.name, 0, this._slider(axis, `parallel-from-${number}`, "from", 0)],
        [axis.name, 1, this._slider(axis, `parallel-to-${number}`, "to", 1)],
      ]);
      place.replaceChildren(...this._sliders.map(([, , each]) => each.element));
    }
    for (const [name, end, each] of this._sliders) each.set((this._brushes.get(name) ?? [0, 1])[end]);
  }

  _slider({ name: label }, id, word, end) {
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

  /** Return the value at a position on an axis as text. @param {Axis} axis @param {number | null} place */
  _text(axis, place) {
    return textOn(axis, place === null ? null : valueAt(axis, place));
  }

  _brush(name, low, high) {
    if (low <= 0 && high >= 1) this._brushes.delete(name);
    else this._brushes.set(name, [low, high]);
    this._refresh([name]);
  }

  _refresh(names) {
    this._repaint();
    this._changed(names);
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
    const last = Math.max(1, this.trials.length - 1);
    const chosen = chosenTrials().filter((trial) => this.trials.includes(trial));
    for (const isIn of [false, true]) {
      for (let at = last; at >= 0; at -= 1) {
        if (!(at in this._places) || this._isWithin(at) !== isIn) continue;
        context.strokeStyle = isIn ? this._colors[at] : token("--line");
        context.globalAlpha = (isIn ? 0.95 - (0.7 * at) / last : this.isBrushed ? 0.35 : 1) * (chosen.length ? BEHIND : 1);
        context.lineWidth = isIn && at === 0 ? 2.5 : isIn ? 1.3 : 1;
        this._paintLine(context, width, this._places[at]);
      }
    }
    context.globalAlpha = 1;
    context.lineWidth = 3;
    for (const trial of chosen) {
      context.strokeStyle = token(colorOf(trial));
      this._paintLine(context, width, this._places[this.trials.indexOf(trial)]);
    }
    this.axes.forEach((axis, number) => this._paintAxis(context, width, axis, this._x(width, number), number));
    context.textAlign = "left";
    for (const trial of chosen) {
      const place = this._places[this.trials.indexOf(trial)].at(-1);
      paintLabel(context, String(trial), this._x(width, this.axes.length - 1) + 5, this._y(place ?? OFF), "--ink");
    }
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
      shortened(axis.name, Math.max(8, room)),
      Math.min(Math.max(x, SIDE), width - SIDE),
      number % 2 && room < 14 ? 10 : 24,
    );
    context.textAlign = isLast ? "right" : "left";
    for (const [at, text] of ticksOf(axis, HEIGHT - TOP - BOTTOM, 16))
      paintLabel(context, text, x + (isLast ? -5 : 5), this._y(placeOn(axis, at)));
    if (this._places.some((line) => line[number] === null)) paintLabel(context, "off", x + 5, this._y(OFF));
    const brush = this._brushes.get(axis.name);
    if (!brush) return;
    context.fillStyle = token("--accent");
    context.globalAlpha = 0.28;
    context.fillRect(x - 7, this._y(brush[1]), 14, Math.max(3, this._y(brush[0]) - this._y(brush[1])));
    context.globalAlpha = 1;
  }

  /** Return the axis name near the pointer, and the position on it. @returns {[string | null, number]} */
  _axisAt({ offsetX, offsetY }) {
    const width = this._canvas.element.clientWidth;
    const axis = this.axes.find((_, number) => Math.abs(offsetX - this._x(width, number)) < 14);
    const place = (HEIGHT - BOTTOM - offsetY) / (HEIGHT - TOP - BOTTOM);
    return [axis?.name ?? null, Math.max(0, Math.min(1, place))];
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

function isWhole({ choices, written }) {
  return choices.length > 0 || written === "count";
}
