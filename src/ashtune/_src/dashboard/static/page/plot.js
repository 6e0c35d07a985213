// A figure on a canvas. A text shows the mark next to the pointer, a click opens its trial, with Shift it chooses the
// trial, and dragging zooms along x.

import { placeOn, textOn, ticksOf, valueAt } from "./axis.js";
import { choose, chosenTrials, colorOf } from "../study/chosen.js";
import { Canvas, paintLabel } from "./canvas.js";
import { element, openTrial, replaceChildren } from "./dom.js";
import { patternOf, token } from "./theme.js";
import { isNumber, shortened } from "./text.js";

const [TOP, RIGHT, TICKS, LABEL] = [10, 12, 24, 18];
/** Pixels around the axes in which a mark at the end of an axis is whole. */
const EDGE = 4;
/** The largest distance between the pointer and its mark, in pixels. */
const REACH = 26;
const REACH_OF_BARS = 4;
/** Kinds of series without a text at the pointer. */
const DUMB = ["flows", "texts", "ranges"];

export class Plot {
  /** @param {HTMLElement} place Its container. */
  constructor(place) {
    /** @type {FigureValue | null} */
    this._figure = null;
    /** Functions from values to pixels, the height of one choice, and a function from a pixel to the value of x. */
    this._at = { x: (value) => value, y: (value) => value, row: 1, valueAt: (pixel) => pixel };
    this._canvas = new Canvas(place, (context, width, height) => this._paint(context, width, height));
    this._tip = new Tip(place);
    /** The two ends of the zoomed range as values; `_drag` has them in pixels from the left. @type {number[] | null} */
    this._zoom = null;
    /** @type {number[] | null} */
    this._drag = null;
    const canvas = this._canvas.element;
    canvas.addEventListener("pointermove", (event) => this._move(event));
    canvas.addEventListener("pointerleave", () => this._leave());
    canvas.addEventListener("mousedown", ({ offsetX }) => {
      this._drag = [offsetX, offsetX];
    });
    canvas.addEventListener("click", (event) => this._click(event));
    canvas.addEventListener("dblclick", () => this._zoomTo(null));
  }

  /** Draw a figure; call it again whenever the figure changes. @param {FigureValue} figure */
  draw(figure) {
    if (figure.x.isLog !== this._figure?.x.isLog) this._zoom = null;
    this._figure = { ...figure, series: stacked(figure.series) };
    this._canvas.draw(figure.height);
  }

  /** Stop drawing; called when the container is removed. */
  destroy() {
    this._canvas.destroy();
  }

  _paint(context, width, height) {
    if (this._figure === null) return;
    const { y, series, cells } = this._figure;
    const x = this._zoom ? { ...this._figure.x, low: this._zoom[0], high: this._zoom[1] } : this._figure.x;
    const [across, up] = [x, y].map((axis) => axis.title || axis.name);
    const high = height - TOP - TICKS - (across ? LABEL : 0);
    const ticks = ticksOf(y, high, 22);
    const left = (up ? LABEL : 0) + 12 + Math.max(18, ...ticks.map(([, text]) => context.measureText(text).width));
    const wide = Math.max(1, width - left - RIGHT);
    this._at = {
      x: (value) => left + wide * placeOn(x, value),
      y: (value) => TOP + high * (1 - placeOn(y, value)),
      row: high / Math.abs(y.high - y.low),
      valueAt: (pixel) => valueAt(x, (pixel - left) / wide),
    };
    context.fillStyle = token("--quiet");
    context.textAlign = "right";
    for (const [at, text] of ticks) {
      const top = this._at.y(at);
      if (!y.choices.length) paintGrid(context, left, top, wide, 1);
      context.fillText(text, left - 6, top);
    }
    context.textAlign = "center";
    for (const [at, text] of ticksOf(x, wide)) {
      if (!x.choices.length) paintGrid(context, this._at.x(at), TOP, 1, high);
      const half = context.measureText(text).width / 2;
      context.fillText(text, Math.min(this._at.x(at), width - half), TOP + high + 13);
    }
    if (across) context.fillText(shortened(across, 70), left + wide / 2, height - 8);
    if (up) paintUpwards(context, shortened(up, 40), 8, TOP + high / 2);
    context.save();
    context.beginPath();
    context.rect(left - EDGE, TOP - EDGE, wide + 2 * EDGE, high + 2 * EDGE);
    context.clip();
    if (cells) paintCells(context, cells, this._figure, this._at);
    for (const each of series) PAINT[each.kind](context, each, this._at, { left, wide });
    const labels = [];
    for (const trial of chosenTrials())
      for (const each of series) paintChosen(context, each, trial, this._at, labels);
    for (const label of labels) paintNumber(context, label, left + wide);
    context.globalAlpha = 0.18;
    context.fillStyle = token("--accent");
    if (this._drag) context.fillRect(this._drag[0], TOP, this._drag[1] - this._drag[0], high);
    context.restore();
  }

  _move(event) {
    if (this._drag && event.buttons) {
      this._drag[1] = event.offsetX;
      this._canvas.repaint();
      return;
    }
    const near = this._figure && nearest(this._figure.series, this._at, event);
    this._canvas.element.classList.toggle("pickable", isNumber(near?.series.trials?.[near.point]));
    if (this._figure && near) this._tip.show(near.left, near.top, wordsOf(this._figure, near.series, near.point));
    else this._tip.hide();
  }

  _leave() {
    this._drag = null;
    this._tip.hide();
    this._canvas.repaint();
  }

  _click(event) {
    const [from, to] = this._drag ?? [0, 0];
    this._drag = null;
    if (Math.abs(to - from) > 5) {
      this._zoomTo([Math.min(from, to), Math.max(from, to)].map((pixel) => this._at.valueAt(pixel)));
      return;
    }
    const near = this._figure && nearest(this._figure.series, this._at, event);
    if (near) (event.shiftKey ? choose : openTrial)(near.series.trials?.[near.point]);
  }

  _zoomTo(ends) {
    this._zoom = ends;
    this._canvas.repaint();
  }
}

/**
 * Return the text lines about a point, as `words_of` of ashtune._src.figures.figure does.
 *
 * @param {FigureValue} figure @param {Series} series
 */
export function wordsOf({ x, y }, series, point) {
  const [at, up, trial] = [series.x[point] ?? 0, (series.own ?? series.y)[point], series.trials?.[point]];
  const lines =
    series.kind === "bars"
      ? [textOn(y, up), `${series.name ?? ""} ${textOn(x, (series.end?.[point] ?? 0) - at)}`]
      : [`${y.name} ${textOn(y, up)}`, `${x.name} ${textOn(x, at)}`];
  const more = [isNumber(trial) ? `trial ${trial}` : "", ...(series.words?.[point] ?? "").split("\n")];
  return [...lines, ...more].map((line) => line.trim()).filter(Boolean);
}

/** Stack the areas on each other; `own` is then an area's own height. @param {Series[]} all @returns {Series[]} */
function stacked(all) {
  let below = [];
  return all.map((series) => {
    if (series.kind !== "area") return series;
    const bottom = series.y.map((_, point) => below[point] ?? 0);
    below = series.y.map((value, point) => bottom[point] + (value ?? 0));
    return { ...series, y: below, own: series.y, bottom };
  });
}

/**
 * Return the series and point nearest to the pointer, or null if none is near.
 *
 * @param {Series[]} all
 * @param at Functions from values to pixels.
 * @param {{ offsetX: number, offsetY: number }} pointer
 */
export function nearest(all, at, { offsetX, offsetY }) {
  let best = /** @type {{ far: number, series: Series, point: number, left: number, top: number } | null} */ (null);
  for (const series of all.filter(({ kind, isSilent }) => !isSilent && !DUMB.includes(kind))) {
    const isBars = series.kind === "bars";
    series.x.forEach((value, point) => {
      if (!isNumber(value) || !isNumber(series.y[point])) return;
      const [left, top] = [at.x(value), at.y(series.y[point])];
      const right = isBars ? at.x(series.end?.[point]) : left;
      const isInLane = Math.abs(top - offsetY) < ((series.thick ?? 0.7) * at.row) / 2 + 3;
      const across = Math.max(left - offsetX, 0, offsetX - right);
      const far = isBars ? (isInLane ? across : Infinity) : Math.hypot(across, top - offsetY);
      if (far < (best?.far ?? (isBars ? REACH_OF_BARS : REACH)))
        best = { far, series, point, left: isBars ? offsetX : left, top };
    });
  }
  return best;
}

/** A small text that follows the pointer over a figure. */
class Tip {
  constructor(place) {
    this._place = place;
    this._box = element("div", { class: "tip", hidden: true, "aria-hidden": "true" });
    place.append(this._box);
  }

  /** Show lines at a point of the container, in pixels. @param {(string | false)[]} lines */
  show(x, y, lines) {
    replaceChildren(
      this._box,
      lines.filter(Boolean).map((line, number) => element(number ? "span" : "b", { text: line })),
    );
    this._box.hidden = false;
    const { width, height } = this._box.getBoundingClientRect();
    const left = Math.min(Math.max(0, x + 14), Math.max(0, this._place.clientWidth - width - 2));
    const top = y - height - 10 < 0 ? y + 16 : y - height - 10;
    this._box.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  hide() {
    this._box.hidden = true;
  }
}

function paintGrid(context, left, top, wide, high) {
  context.save();
  context.fillStyle = token("--grid");
  context.fillRect(Math.round(left), Math.round(top), Math.round(wide), Math.round(high));
  context.restore();
}

function paintUpwards(context, text, x, y) {
  context.save();
  context.translate(x, y);
  context.rotate(-Math.PI / 2);
  context.fillText(text, 0, 0);
  context.restore();
}

function paintLine(context, { kind, x, y, color, width = 2, alpha = 1 }, at) {
  /** @type {number | null} */
  let last = null;
  context.beginPath();
  x.forEach((value, number) => {
    if (!isNumber(value) || !isNumber(y[number])) return void (last = null);
    const [left, top] = [at.x(value), at.y(y[number])];
    if (last === null) context.moveTo(left, top);
    else if (kind === "step") context.lineTo(left, last);
    context.lineTo(left, top);
    last = top;
  });
  context.strokeStyle = color;
  context.globalAlpha = alpha;
  context.lineWidth = width;
  context.lineJoin = "round";
  context.stroke();
}

function paintArea(context, { x, y, bottom, color, pattern = "" }, at) {
  context.globalAlpha = 0.75;
  context.fillStyle = patternOf(context, color, pattern);
  context.beginPath();
  x.forEach((value, number) => context.lineTo(at.x(value), at.y(y[number])));
  [...x.keys()].reverse().forEach((number) => context.lineTo(at.x(x[number]), at.y(bottom[number])));
  context.fill();
}

function paintPoints(context, { x, y, color, symbol = "circle", size = 6, alpha = 1, isRimmed }, at) {
  context.globalAlpha = alpha;
  context.fillStyle = color;
  context.strokeStyle = symbol === "cross" ? color : token("--ink");
  context.lineWidth = symbol === "cross" ? 1.5 : 1;
  const path = SHAPES[symbol];
  const shape = Object.assign(new Path2D(path), { path }); // an SVG needs the path as text
  x.forEach((value, number) => {
    if (!isNumber(value) || !isNumber(y[number])) return;
    context.save();
    context.translate(at.x(value), at.y(y[number]));
    context.scale(size / 2, size / 2);
    context.lineWidth /= size / 2;
    context.fill(shape);
    if (symbol === "cross" || isRimmed) context.stroke(shape);
    context.restore();
  });
}

function paintBars(context, { x, end = [], y, color, pattern = "", thick = 0.7 }, at, { left, wide }) {
  const high = thick * at.row;
  context.globalAlpha = 1;
  context.fillStyle = patternOf(context, color, pattern);
  x.forEach((value, number) => {
    if (value === end[number]) return;
    const from = Math.max(left, at.x(value));
    const to = Math.min(left + wide, at.x(end[number]));
    context.fillRect(from, at.y(y[number]) - high / 2, Math.max(1, to - from - (to - from > 4 ? 1 : 0)), high);
  });
}

function paintRanges(context, { x, end = [], y, color }, at) {
  context.globalAlpha = 1;
  context.fillStyle = color;
  x.forEach((value, number) => {
    const [from, to, top] = [at.x(value), at.x(end[number]), at.y(y[number])];
    context.fillRect(from, top - 1, to - from, 2);
    for (const left of [from, to]) context.fillRect(left - 1, top - 5, 2, 10);
  });
}

/** Paint a band from each bar to the next bar above: as wide as `x` at its bar, and as `end` at the next one. */
function paintFlows(context, { x, end = [], y, color, thick = 0.7, alpha = 1 }, at) {
  context.globalAlpha = alpha;
  context.fillStyle = color;
  end.forEach((value, number) => {
    if (!x[number]) return;
    const [from, to, zero] = [at.x(x[number]), at.x(Math.min(value, x[number])), at.x(0)];
    const [low, high] = [at.y(y[number] + thick / 2), at.y(y[number] + 1 - thick / 2)];
    context.beginPath();
    context.moveTo(zero, low);
    context.lineTo(from, low);
    context.lineTo(to, high);
    context.lineTo(zero, high);
    context.fill();
  });
}

/** Write lines of text at the right edge, on a phone over the bars; the first line has the strong colour. */
function paintTexts(context, { y, words = [] }, at, { left, wide }) {
  context.textAlign = "right";
  y.forEach((value, number) => {
    const lines = words[number].split("\n");
    lines.forEach((line, place) => {
      const top = at.y(value) + 15 * place - 7.5 * (lines.length - 1);
      paintLabel(context, line, left + wide, top, place ? "--quiet" : "--ink");
    });
  });
}

/** Paint a value for each cell of a grid: smoothed between numbers, but not between choices. */
function paintCells(context, { x, y, rows, scale, colors }, figure, at) {
  if (!x.length || !y.length) return;
  const made = element("canvas", { width: x.length, height: y.length });
  const own = /** @type {CanvasRenderingContext2D} */ (made.getContext("2d"));
  const image = own.createImageData(x.length, y.length);
  const isUpward = figure.y.low < figure.y.high;
  rows.forEach((row, up) =>
    row.forEach((value, right) => {
      const top = isUpward ? y.length - 1 - up : up;
      if (isNumber(value)) image.data.set(colorOn(colors, placeOn(scale, value)), 4 * (top * x.length + right));
    }),
  );
  own.putImageData(image, 0, 0);
  const [across, upwards] = [edges(x, at.x), edges(y, at.y)];
  context.globalAlpha = 1;
  context.imageSmoothingEnabled = !figure.x.choices.length && !figure.y.choices.length;
  const [top, bottom] = [Math.min(...upwards), Math.max(...upwards)];
  context.drawImage(made, across[0], top, across[1] - across[0], bottom - top);
}

/** Return the outer edges, in pixels, of cells around evenly spaced positions. */
function edges(places, at) {
  const [first, last] = [at(places[0]), at(places.at(-1))];
  const half = places.length > 1 ? (last - first) / (places.length - 1) / 2 : (at(places[0] + 1) - first) / 2;
  return [first - half, last + half];
}

/** Return red, green, blue and opacity (0 to 255) of a mix of two colours `rgba(...)`. */
export function colorOn(colors, share) {
  const [from, to] = colors.map((color) => color.match(/[\d.]+/g).map(Number));
  const at = Math.max(0, Math.min(1, share));
  return from.map((part, number) => (part + at * (to[number] - part)) * (number === 3 ? 255 : 1));
}

/**
 * Paint the marks of a chosen trial once more, in its colour, and add a label for the last one.
 *
 * @param {Series} series
 * @param {{ trial: number, x: number, top: number }[]} labels
 */
function paintChosen(context, series, trial, at, labels) {
  if (!["line", "points"].includes(series.kind)) return;
  const y = series.y.map((value, point) => (series.trials?.[point] === trial ? value : null));
  const last = y.findLastIndex(isNumber);
  if (last < 0) return;
  const more = { color: token(colorOf(trial)), alpha: 1, width: 3, size: (series.size ?? 6) + 4, isRimmed: true };
  PAINT[series.kind](context, { ...series, ...more, y }, at);
  const x = at.x(series.x[last]);
  const near = labels.filter((label) => Math.abs(label.x - x) < 28);
  if (near.some((label) => label.trial === trial)) return;
  const tops = Array.from({ length: 2 * near.length + 3 }, (_, step) => at.y(y[last]) - 8 + 12 * (step % 2 ? step + 1 : -step) / 2);
  const top = tops.find((each) => each > TOP + 5 && near.every((label) => Math.abs(label.top - each) >= 12)) ?? tops[0];
  labels.push({ trial, x, top });
}

/** Paint the number of a chosen trial beside its mark, with its colour. */
function paintNumber(context, { trial, x, top }, right) {
  const side = x > right - 40 ? -1 : 1;
  context.textAlign = side < 0 ? "right" : "left";
  paintLabel(context, String(trial), x + 13 * side, top, "--ink");
  context.fillStyle = token(colorOf(trial));
  context.fillRect(x + 9 * side - 2, top - 4, 4, 8);
}

/** Symbols, drawn in a square from -1 to 1. */
const SHAPES = {
  circle: "M1 0A1 1 0 1 1-1 0A1 1 0 1 1 1 0Z",
  cross: "M-1-1L1 1M-1 1L1-1",
  star: "M0-1L.29-.4L.95-.31L.48.15L.59.81L0 .5L-.59.81L-.48.15L-.95-.31L-.29-.4Z",
  diamond: "M0-1L.6 0L0 1L-.6 0Z",
};
/** The painting function of each kind of series. @type {Record<Series["kind"], Function>} */
const PAINT = {
  line: paintLine,
  step: paintLine,
  area: paintArea,
  points: paintPoints,
  bars: paintBars,
  ranges: paintRanges,
  flows: paintFlows,
  texts: paintTexts,
};
