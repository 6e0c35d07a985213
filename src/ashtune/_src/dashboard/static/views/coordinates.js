// The drawing of parallel coordinates: axes, a line for each trial, and the selected ranges (brushes).

import { placeOn, textOn, ticksOf, valueAt } from "../page/axis.js";
import { newCanvas, paintLabel } from "../page/canvas.js";
import { element, set, slider } from "../page/dom.js";
import { isNumber, shortened } from "../page/text.js";
import { token } from "../page/theme.js";
import { colorOf, isChosen } from "../study/chosen.js";

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
const END_WORDS = ["from", "to"];
/** The position, below the axis, of lines whose hyperparameter is not active. */
const OFF = -0.07;
/** The opacity of other lines while trials are chosen. */
const BEHIND = 0.4;

/**
 * A line.
 *
 * @typedef {{ rank: number, trial: number, color: string, values: Numbers, places: Numbers }} CoordinatesLine
 */

/**
 * Return the drawing in a container.
 *
 * @param {HTMLElement} place @param changed Called with the names of the axes whose brushes have changed.
 */
export function newCoordinates(place, changed) {
  /** The last axis is that of the metric. @type {Axis[]} */
  let axes = [];
  /** The best first. @type {CoordinatesLine[]} */
  let lines = [];
  /** The names of the axes for which the table of trials has filters; it has none for a range of rungs. @type {string[]} */
  let filters = [];
  /** The ends of each brush, by the name of its axis. @type {Map<string, number[]>} */
  const brushes = new Map();
  /** The brush that is being drawn. @type {{ name: string, from: number, to: number } | null} */
  let drag = null;
  /** Two for each axis: one moves the low end of its brush, one the high end. */
  let sliders = [];
  const list = element("div.sliders");
  const canvas = newCanvas(place, paint);

  const brushOf = (name) => brushes.get(name) ?? ALL;
  const axisOf = (name) => /** @type {Axis} */ (axes.find((each) => each.name === name));
  const within = () =>
    lines.filter(({ places }) =>
      axes.every(({ name }, number) => {
        if (!brushes.has(name)) return true;
        const [low, high] = brushOf(name);
        const at = places[number];
        return at !== null && at >= low - 1e-9 && at <= high + 1e-9;
      }),
    );

  /** Set a brush by its two ends, in any order. */
  function setBrush(name, ...ends) {
    const [low, high] = ends.toSorted((a, b) => a - b);
    if (low <= 0 && high >= 1) brushes.delete(name);
    else brushes.set(name, [low, high]);
    repaint();
    changed([name]);
  }

  function newSlider({ name }, number, end) {
    const text = (at) => textOn(axisOf(name), valueAt(axisOf(name), at));
    const word = END_WORDS[end];
    const title = `${shortened(name, 40)}, ${word}`;
    const made = slider(`parallel-${word}-${number}`, title, { max: 1, step: 0.01, value: end }, text, (value) =>
      setBrush(name, brushOf(name)[1 - end], value),
    );
    return { ...made, name, end };
  }

  function repaint() {
    canvas.draw(HEIGHT, 2 * SIDE + LEAST * (axes.length - 1));
    for (const { name, end, set: move } of sliders) move(brushOf(name)[end]);
  }

  /** The distance of two axes. */
  const step = () => (canvas.width - 2 * SIDE) / Math.max(1, axes.length - 1);
  const acrossOf = (number) => (axes.length > 1 ? SIDE + step() * number : canvas.width / 2);

  function paint(context) {
    const chosen = lines.filter(({ trial }) => isChosen(trial));
    paintLines(context, chosen.length ? BEHIND : 1);
    context.globalAlpha = 1;
    context.lineWidth = 3;
    for (const { trial, places } of chosen) {
      context.strokeStyle = token(colorOf(trial));
      paintLine(context, places);
    }
    axes.forEach((axis, number) => paintAxis(context, axis, number));
    context.textAlign = "left";
    for (const { trial, places } of chosen)
      paintLabel(context, String(trial), acrossOf(axes.length - 1) + 5, upOf(places.at(-1)), "--ink");
  }

  /** Paint the lines outside of the brushes, then those within, each with the best last, so that it is on top. */
  function paintLines(context, opacity) {
    const inside = new Set(within());
    context.strokeStyle = token("--line");
    context.globalAlpha = (brushes.size ? 0.35 : 1) * opacity;
    context.lineWidth = 1;
    for (const line of lines.toReversed()) if (!inside.has(line)) paintLine(context, line.places);
    for (const { rank, color, places } of [...inside].reverse()) {
      context.strokeStyle = color;
      context.globalAlpha = (0.95 - (0.7 * rank) / Math.max(1, lines.length - 1)) * opacity;
      context.lineWidth = rank === 0 ? 2.5 : 1.3;
      paintLine(context, places);
    }
  }

  function paintLine(context, places) {
    const half = step() / 2;
    context.beginPath();
    places.forEach((at, number) => {
      const x = acrossOf(number);
      const y = upOf(at);
      if (number) context.bezierCurveTo(x - half, upOf(places[number - 1]), x - half, y, x, y);
      else context.moveTo(x, y);
    });
    context.stroke();
  }

  function paintAxis(context, axis, number) {
    const x = acrossOf(number);
    const side = number === axes.length - 1 ? -1 : 1; // the texts of the last axis stand at its left
    context.fillStyle = token("--quiet");
    context.fillRect(x - 0.5, upOf(1), 1, LENGTH);
    context.textAlign = "center";
    context.fillStyle = token("--ink");
    const room = Math.floor(step() / 6.8);
    const top = number % 2 && room < 14 ? 10 : 24; // names of narrow axes stand in two rows
    const middle = Math.min(Math.max(x, SIDE), canvas.width - SIDE);
    context.fillText(shortened(axis.name, Math.max(8, room)), middle, top);
    context.textAlign = side < 0 ? "right" : "left";
    for (const [at, text] of ticksOf(axis, LENGTH, 16)) paintLabel(context, text, x + 5 * side, upOf(placeOn(axis, at)));
    if (lines.some(({ places }) => places[number] === null)) paintLabel(context, "off", x + 5, upOf(OFF));
    if (!brushes.has(axis.name)) return;
    const [low, high] = brushOf(axis.name).map(upOf);
    context.fillStyle = token("--accent");
    context.globalAlpha = 0.28;
    context.fillRect(x - 7, high, 14, Math.max(3, low - high));
    context.globalAlpha = 1;
  }

  /** Return the name of the axis near the pointer, and the position on it. @returns {[string | undefined, number]} */
  function axisAt({ offsetX, offsetY }) {
    const axis = axes.find((_, number) => Math.abs(offsetX - acrossOf(number)) < 14);
    const at = (HEIGHT - BOTTOM - offsetY) / LENGTH;
    return [axis?.name, Math.max(0, Math.min(1, at))];
  }

  function onpointerdown(event) {
    const [name, at] = axisAt(event);
    if (name === undefined) return;
    event.preventDefault();
    drag = { name, from: at, to: at };
    canvas.element.setPointerCapture(event.pointerId);
  }

  function onpointermove(event) {
    const [name, at] = axisAt(event);
    canvas.element.classList.toggle("brushable", name !== undefined || drag !== null);
    if (drag === null) return;
    drag.to = at;
    setBrush(drag.name, drag.from, at);
  }

  /** A click without a movement removes the range. */
  function onpointerup() {
    if (drag !== null && Math.abs(drag.to - drag.from) < 0.01) setBrush(drag.name, ...ALL);
    drag = null;
  }

  set(canvas.element, { onpointerdown, onpointermove, onpointerup, onpointercancel: onpointerup });
  return {
    canvas,
    /** The sliders, for the keyboard. */
    sliders: list,
    isBrushed: () => brushes.size > 0,
    /** Return the lines within all brushes, the best first. */
    within,

    /** Take in a figure. Brushes are kept by the names of the axes. @param {CoordinatesValue} figure */
    draw(figure, { names, objective }) {
      const before = String(axes.map(({ name }) => name));
      ({ axes } = figure);
      lines = figure.lines.map((values, rank) => ({
        rank,
        trial: figure.trials[rank],
        color: figure.colors[rank],
        values,
        places: values.map((value, number) => (isNumber(value) ? placeOn(axes[number], value) : null)),
      }));
      const all = axes.map(({ name }) => name);
      filters = [...names, objective.metric].filter((name) => all.includes(name));
      for (const name of brushes.keys()) if (!all.includes(name)) brushes.delete(name);
      if (String(all) !== before) {
        sliders = axes.flatMap((axis, number) => [newSlider(axis, number, 0), newSlider(axis, number, 1)]);
        list.replaceChildren(...sliders.map((each) => each.element));
      }
      repaint();
    },

    /** Return brushes as filters of the table. A brush that reaches an end of its axis is open there. @param {Set} names */
    ranges(names) {
      return filters
        .filter((name) => names.has(name) && brushes.has(name))
        .map((name) => {
          const axis = axisOf(name);
          const [low, high] = brushOf(name);
          const text = (at, round) => {
            const value = valueAt(axis, at);
            return String(isWhole(axis) ? round(value) : Number(value.toPrecision(6)));
          };
          return { name, low: low > 0 ? text(low, Math.ceil) : "", high: high < 1 ? text(high, Math.floor) : "" };
        });
    },

    /** Take filters of the table as the brushes of these axes. */
    brush(ranges) {
      for (const name of filters) brushes.delete(name);
      for (const { name, low, high } of ranges.filter((each) => filters.includes(each.name))) {
        const axis = axisOf(name);
        const half = isWhole(axis) ? 0.5 : 0; // lines of a choice are beside each other
        const from = low === "" ? 0 : placeOn(axis, low - half);
        const to = high === "" ? 1 : placeOn(axis, Number(high) + half);
        brushes.set(name, [Math.max(0, from), Math.min(1, to)]);
      }
      repaint();
    },

    /** Return the columns and rows of a table of the lines within all brushes. */
    table() {
      const rows = within().map(({ trial, values }) => [`${trial}`, ...values.map((value, at) => textOn(axes[at], value))]);
      return [["trial", ...axes.map(({ name }) => shortened(name, 24))], rows.reverse()];
    },

    clear() {
      const names = [...brushes.keys()];
      brushes.clear();
      repaint();
      changed(names);
    },
  };
}

/** Return the height of a position on an axis in pixels. @param {number | null | undefined} place */
function upOf(place) {
  return HEIGHT - BOTTOM - LENGTH * Math.max(OFF, Math.min(1.04, place ?? OFF));
}

function isWhole({ choices, written }) {
  return choices.length > 0 || written === "count";
}
