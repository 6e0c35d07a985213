// The drawing of parallel coordinates: axes, a line for each trial, and the selected ranges (brushes).

import { placeOn, textOn, ticksOf, valueAt } from "../page/axis.js";
import { Canvas, paintLabel } from "../page/canvas.js";
import { set, slider } from "../page/dom.js";
import { isNumber, shortened } from "../page/text.js";
import { token } from "../page/theme.js";
import { chosenTrials, colorOf } from "../study/chosen.js";

const HEIGHT = 340;
/** The free space above, below and beside the axes, and the least distance of two axes, in pixels. */
const TOP = 40;
const BOTTOM = 26;
const SIDE = 46;
const LEAST = 96;
/** The length of an axis. */
const LENGTH = HEIGHT - TOP - BOTTOM;
/** The range of an axis without a brush. */
const ALL = [0, 1];
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
    this._canvas = new Canvas(place, (context) => this._paint(context));
    const end = () => this._end();
    set(this._canvas.element, {
      onpointerdown: (event) => this._begin(event),
      onpointermove: (event) => this._move(event),
      onpointerup: end,
      onpointercancel: end,
    });
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
    return brushes.map(([name, [low, high]]) => {
      const axis = this._axis(name);
      const text = (place, round) => {
        const value = valueAt(axis, place);
        return String(isWhole(axis) ? round(value) : Number(value.toPrecision(6)));
      };
      return { name, low: low > 0 ? text(low, Math.ceil) : "", high: high < 1 ? text(high, Math.floor) : "" };
    });
  }

  /** Take filters of the table as the brushes of these axes. */
  brush(ranges) {
    for (const name of this._filters) this._brushes.delete(name);
    for (const { name, low, high } of ranges.filter((each) => this._isFilter(each.name))) {
      const axis = this._axis(name);
      const half = isWhole(axis) ? 0.5 : 0; // lines of a choice are beside each other
      const from = low === "" ? 0 : placeOn(axis, low - half);
      const to = high === "" ? 1 : placeOn(axis, Number(high) + half);
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
      this._sliders = this._names.flatMap((name, number) => [
        this._slider(name, 0, `parallel-from-${number}`, "from"),
        this._slider(name, 1, `parallel-to-${number}`, "to"),
      ]);
      place.replaceChildren(...this._sliders.map((each) => each.element));
    }
    for (const { name, end, set: move } of this._sliders) move(this._brushOf(name)[end]);
  }

  /** @param end 0 for the low end of a range, 1 for the high one. */
  _slider(name, end, id, word) {
    const text = (place) => this._text(this._axis(name), place);
    const made = slider(id, `${shortened(name, 40)}, ${word}`, { max: 1, step: 0.01, value: end }, text, (value) => {
      const brush = [...this._brushOf(name)];
      brush[end] = value;
      this._brush(name, ...brush);
    });
    return { ...made, name, end };
  }

  _brushOf(name) {
    return this._brushes.get(name) ?? ALL;
  }

  /** @returns {Axis} */
  _axis(name) {
    return this.axes[this._names.indexOf(name)];
  }

  /** Return the value at a position on an axis as text. @param {Axis} axis @param {number | null} place */
  _text(axis, place) {
    return textOn(axis, place === null ? null : valueAt(axis, place));
  }

  /** Set a brush by its two ends, in any order. */
  _brush(name, ...ends) {
    const low = Math.min(...ends);
    const high = Math.max(...ends);
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

  /** The distance of two axes. */
  get _step() {
    return (this._canvas.width - 2 * SIDE) / Math.max(1, this.axes.length - 1);
  }

  _x(axis) {
    return this.axes.length > 1 ? SIDE + this._step * axis : this._canvas.width / 2;
  }

  /** @param {number | null} place */
  _y(place) {
    return HEIGHT - BOTTOM - LENGTH * Math.max(OFF, Math.min(1.04, place ?? OFF));
  }

  _paint(context) {
    const chosen = chosenTrials().filter((trial) => this.trials.includes(trial));
    this._paintLines(context, chosen.length ? BEHIND : 1);
    context.globalAlpha = 1;
    context.lineWidth = 3;
    for (const trial of chosen) {
      context.strokeStyle = token(colorOf(trial));
      this._paintLine(context, this._placesOf(trial));
    }
    this.axes.forEach((axis, number) => this._paintAxis(context, axis, number));
    context.textAlign = "left";
    for (const trial of chosen)
      paintLabel(context, String(trial), this._x(this.axes.length - 1) + 5, this._y(this._placesOf(trial).at(-1)), "--ink");
  }

  _placesOf(trial) {
    return this._places[this.trials.indexOf(trial)];
  }

  /** Paint the lines outside of the brushes, then those within, each with the best last, so that it is on top. */
  _paintLines(context, opacity) {
    const worst = Math.max(1, this.trials.length - 1);
    const within = new Set(this.within());
    const others = [...this.trials.keys()].filter((at) => !within.has(at));
    context.strokeStyle = token("--line");
    context.globalAlpha = (this.isBrushed ? 0.35 : 1) * opacity;
    context.lineWidth = 1;
    for (const at of others.reverse()) this._paintLine(context, this._places[at]);
    for (const at of [...within].reverse()) {
      context.strokeStyle = this._colors[at];
      context.globalAlpha = (0.95 - (0.7 * at) / worst) * opacity;
      context.lineWidth = at === 0 ? 2.5 : 1.3;
      this._paintLine(context, this._places[at]);
    }
  }

  _paintLine(context, places) {
    const half = this._step / 2;
    context.beginPath();
    places.forEach((place, axis) => {
      const x = this._x(axis);
      const y = this._y(place);
      if (axis) context.bezierCurveTo(x - half, this._y(places[axis - 1]), x - half, y, x, y);
      else context.moveTo(x, y);
    });
    context.stroke();
  }

  _paintAxis(context, axis, number) {
    const x = this._x(number);
    const side = number === this.axes.length - 1 ? -1 : 1; // the texts of the last axis stand at its left
    context.fillStyle = token("--quiet");
    context.fillRect(x - 0.5, this._y(1), 1, LENGTH);
    context.textAlign = "center";
    context.fillStyle = token("--ink");
    const room = Math.floor(this._step / 6.8);
    const top = number % 2 && room < 14 ? 10 : 24; // names of narrow axes stand in two rows
    const middle = Math.min(Math.max(x, SIDE), this._canvas.width - SIDE);
    context.fillText(shortened(axis.name, Math.max(8, room)), middle, top);
    context.textAlign = side < 0 ? "right" : "left";
    for (const [at, text] of ticksOf(axis, LENGTH, 16)) paintLabel(context, text, x + 5 * side, this._y(placeOn(axis, at)));
    if (this._places.some((line) => line[number] === null)) paintLabel(context, "off", x + 5, this._y(OFF));
    if (!this._brushes.has(axis.name)) return;
    const [low, high] = this._brushOf(axis.name).map((place) => this._y(place));
    context.fillStyle = token("--accent");
    context.globalAlpha = 0.28;
    context.fillRect(x - 7, high, 14, Math.max(3, low - high));
    context.globalAlpha = 1;
  }

  /** Return the axis name near the pointer, and the position on it. @returns {[string | undefined, number]} */
  _axisAt({ offsetX, offsetY }) {
    const axis = this.axes.find((_, number) => Math.abs(offsetX - this._x(number)) < 14);
    const place = (HEIGHT - BOTTOM - offsetY) / LENGTH;
    return [axis?.name, Math.max(0, Math.min(1, place))];
  }

  _begin(event) {
    const [name, place] = this._axisAt(event);
    if (name === undefined) return;
    event.preventDefault();
    this._drag = { name, from: place, to: place };
    this._canvas.element.setPointerCapture(event.pointerId);
  }

  _move(event) {
    const [name, place] = this._axisAt(event);
    this._canvas.element.classList.toggle("brushable", name !== undefined || this._drag !== null);
    if (this._drag === null) return;
    this._drag.to = place;
    this._brush(this._drag.name, this._drag.from, place);
  }

  /** A click without a movement removes the range. */
  _end() {
    const drag = this._drag;
    this._drag = null;
    if (drag !== null && Math.abs(drag.to - drag.from) < 0.01) this._brush(drag.name, ...ALL);
  }
}

function isWhole({ choices, written }) {
  return choices.length > 0 || written === "count";
}
