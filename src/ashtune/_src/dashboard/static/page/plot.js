// A figure on a canvas. A text shows the mark next to the pointer, a click opens its trial, with Shift it chooses the
// trial, and dragging zooms along x.

import { placeOn, textOn, ticksOf, valueAt } from "./axis.js";
import { choose, chosenTrials, colorOf } from "../study/chosen.js";
import { newCanvas, paintLabel } from "./canvas.js";
import { element, replaceChildren, set } from "./dom.js";
import { patternOf, token } from "./theme.js";
import { isNumber, shortened } from "./text.js";

const TOP = 10;
const RIGHT = 12;
/** The height of the ticks, and the room of an axis's name. */
const TICKS = 24;
const LABEL = 18;
/** Pixels around the axes in which a mark at the end of an axis is whole. */
const EDGE = 4;
/** The largest distance between the pointer and its mark, in pixels. */
const REACH = 26;
const REACH_OF_BARS = 4;
/** Kinds of series that stand behind or beside the marks: the pointer does not reach them. */
const SILENT = ["flows", "texts", "ranges"];

/**
 * Return the plot of figures in a container: its canvas, and a function that draws a figure.
 *
 * @param {HTMLElement} place
 */
export function newPlot(place) {
  /** @type {FigureValue} */
  let figure;
  /** Functions from values to pixels, the height of one choice, and a function from a pixel to the value of x. */
  let at = { x: (value) => value, y: (value) => value, row: 1, valueAt: (pixel) => pixel };
  /** The range of x that the reader has zoomed to. @type {{ low: number, high: number } | null} */
  let zoom = null;
  /** Where the reader began to drag, and where the pointer is now, in pixels. @type {number[] | null} */
  let drag = null;
  const canvas = newCanvas(place, paint);
  const tip = element("div.tip", { hidden: true, "aria-hidden": "true" });
  place.append(tip);

  function paint(context, width, height) {
    const { y, series, cells } = figure;
    const x = { ...figure.x, ...zoom };
    const across = x.title || x.name;
    const up = y.title || y.name;
    const high = height - TOP - TICKS - (across ? LABEL : 0);
    const ticks = ticksOf(y, high, 22);
    const widest = Math.max(18, ...ticks.map(([, text]) => context.measureText(text).width));
    const left = widest + 12 + (up ? LABEL : 0);
    const wide = Math.max(1, width - left - RIGHT);
    at = {
      x: (value) => left + wide * placeOn(x, value),
      y: (value) => TOP + high * (1 - placeOn(y, value)),
      row: high / Math.abs(y.high - y.low),
      valueAt: (pixel) => valueAt(x, (pixel - left) / wide),
    };
    context.fillStyle = token("--grid");
    // A choice has no line: its marks stand around its tick.
    if (!y.choices.length) for (const [value] of ticks) fillWhole(context, left, at.y(value), wide, 1);
    const below = ticksOf(x, wide);
    if (!x.choices.length) for (const [value] of below) fillWhole(context, at.x(value), TOP, 1, high);
    context.fillStyle = token("--quiet");
    context.textAlign = "right";
    for (const [value, text] of ticks) context.fillText(text, left - 6, at.y(value));
    context.textAlign = "center";
    for (const [value, text] of below) {
      const half = context.measureText(text).width / 2;
      context.fillText(text, Math.min(at.x(value), width - half), TOP + high + 13);
    }
    context.fillText(shortened(across, 70), left + wide / 2, height - 8);
    context.save();
    context.translate(8, TOP + high / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(shortened(up, 40), 0, 0);
    context.restore();
    context.save();
    context.beginPath();
    context.rect(left - EDGE, TOP - EDGE, wide + 2 * EDGE, high + 2 * EDGE);
    context.clip();
    if (cells) paintCells(context, cells, figure, at);
    for (const each of series) paintSeries(context, each, at, { left, right: left + wide });
    paintChosen(context, series, at, left + wide);
    context.globalAlpha = 0.18;
    context.fillStyle = token("--accent");
    if (drag) context.fillRect(drag[0], TOP, drag[1] - drag[0], high);
    context.restore();
  }

  /** Show the words of a mark beside it, within the container. */
  function showTip({ series, point, left, top }) {
    const lines = wordsOf(figure, series, point);
    replaceChildren(tip, lines.map((line, number) => element(number ? "span" : "b", line)));
    const { width, height } = tip.getBoundingClientRect();
    const x = Math.max(0, Math.min(left + 14, place.clientWidth - width - 2));
    const above = top - height - 10;
    tip.style.transform = `translate(${Math.round(x)}px, ${Math.round(above < 0 ? top + 16 : above)}px)`;
  }

  function onpointermove(event) {
    if (drag && event.buttons) {
      drag[1] = event.offsetX;
      canvas.repaint();
      return;
    }
    const near = nearest(figure.series, at, event);
    canvas.element.classList.toggle("pickable", isNumber(near?.series.trials?.[near.point]));
    tip.hidden = !near;
    if (near) showTip(near);
  }

  function onclick(event) {
    const [low, high] = (drag ?? [0, 0]).toSorted((a, b) => a - b);
    drag = null;
    if (high - low > 5) {
      zoomTo({ low: at.valueAt(low), high: at.valueAt(high) });
      return;
    }
    const near = nearest(figure.series, at, event);
    const trial = near?.series.trials?.[near.point];
    if (event.shiftKey) choose(trial);
    else if (isNumber(trial)) location.hash = `#trial/${trial}`;
  }

  function zoomTo(ends) {
    zoom = ends;
    canvas.repaint();
  }

  set(canvas.element, {
    onpointermove,
    onpointerleave: () => {
      drag = null;
      tip.hidden = true;
      canvas.repaint();
    },
    onmousedown: ({ offsetX }) => {
      drag = [offsetX, offsetX];
    },
    onclick,
    ondblclick: () => zoomTo(null),
  });
  return {
    canvas,
    /** Draw a figure; call it again whenever the figure changes. @param {FigureValue} next */
    draw(next) {
      // A range of a linear axis may begin at 0, where a logarithmic axis has no place.
      if (next.x.isLog !== figure?.x.isLog) zoom = null;
      figure = next;
      canvas.draw(next.height);
    },
  };
}

/** Paint the marks of the chosen trials once more, in their colours, and the trial's number beside the last of them. */
function paintChosen(context, series, at, right) {
  /** @type {{ trial: number, x: number, y: number }[]} */
  const labels = [];
  for (const trial of chosenTrials())
    for (const each of series) {
      if (!["line", "points"].includes(each.kind)) continue;
      const y = each.y.map((value, point) => (each.trials?.[point] === trial ? value : null));
      const own = { ...each, y, color: token(colorOf(trial)), alpha: 1, width: 3, size: (each.size ?? 6) + 4, isRimmed: true };
      const last = marksOf(own, at).at(-1);
      if (!last) continue;
      paintSeries(context, own, at, {});
      // A curve and the dot at its end belong to one trial: one number is enough.
      const near = labels.filter(({ x }) => Math.abs(x - last.left) < 28);
      if (near.some((label) => label.trial === trial)) continue;
      let top = Math.max(TOP + 6, last.top - 8);
      while (near.some((label) => Math.abs(label.y - top) < 12)) top += 12;
      labels.push({ trial, x: last.left, y: top });
    }
  for (const { trial, x, y } of labels) {
    const side = x > right - 40 ? -1 : 1;
    context.textAlign = side < 0 ? "right" : "left";
    paintLabel(context, String(trial), x + 13 * side, y, "--ink");
    context.fillStyle = token(colorOf(trial));
    context.fillRect(x + 9 * side - 2, y - 4, 4, 8);
  }
}

/**
 * Return the text lines about a point, as `words_of` of ashtune._src.figures.figure does.
 *
 * @param {FigureValue} figure @param {Series} series
 */
export function wordsOf({ x, y }, { kind, name = "", end = [], words = [], trials = [], ...series }, point) {
  const at = series.x[point] ?? 0;
  const up = textOn(y, series.y[point]);
  const trial = trials[point];
  const lines = isNumber(trial) ? [`trial ${trial}`] : [];
  if (kind === "bars") lines.unshift(up, `${name} ${textOn(x, (end[point] ?? 0) - at)}`);
  else lines.unshift(`${y.name} ${up}`, `${x.name} ${textOn(x, at)}`);
  lines.push(...(words[point] ?? "").split("\n"));
  return lines.map((line) => line.trim()).filter(Boolean);
}

/** Return whether the pointer reaches the marks of a series. @param {Series} series */
export function isSpoken({ kind, isSilent }) {
  return !isSilent && !SILENT.includes(kind);
}

/** Return the marks of a series that have a place, with their places in pixels. @param {Series} series */
function marksOf({ x, y, end = /** @type {any} */ (x) }, at) {
  const points = [...x.keys()].filter((point) => isNumber(x[point]) && isNumber(y[point]));
  return points.map((point) => ({ point, left: at.x(x[point]), right: at.x(end[point]), top: at.y(y[point]) }));
}

/**
 * Return the series and point nearest to the pointer, or null if none is near.
 *
 * @param {Series[]} all
 * @param at Functions from values to pixels.
 * @param {{ offsetX: number, offsetY: number }} pointer
 */
export function nearest(all, at, { offsetX, offsetY }) {
  /** @type {{ far: number, series: Series, point: number, left: number, top: number } | null} */
  let best = null;
  for (const series of all.filter(isSpoken)) {
    const isBars = series.kind === "bars";
    for (const { point, left, right, top } of marksOf(series, at)) {
      const across = Math.max(left - offsetX, 0, offsetX - right);
      const up = Math.abs(top - offsetY);
      // Any point of a bar is as near as its ends.
      const far = isBars ? across : Math.hypot(across, up);
      if (isBars && up >= (series.thick ?? 0.7) * at.row / 2 + 3) continue;
      if (far < (best?.far ?? (isBars ? REACH_OF_BARS : REACH)))
        best = { far, series, point, left: isBars ? offsetX : left, top };
    }
  }
  return best;
}

/** Fill whole pixels, so that a thin line is sharp. */
function fillWhole(context, ...rectangle) {
  context.fillRect(...rectangle.map(Math.round));
}

/** Paint a series in its colour, pattern and opacity. @param {Series} series @param area The left and right ends of the axes. */
function paintSeries(context, series, at, area) {
  context.save();
  context.globalAlpha = series.alpha ?? 1;
  context.fillStyle = patternOf(context, series.color, series.pattern);
  context.strokeStyle = series.color;
  PAINT[series.kind](context, series, at, area);
  context.restore();
}

/** Paint a line, or steps, with a gap at each point that is not there. */
function paintLine(context, series, at) {
  let before = null;
  context.beginPath();
  for (const mark of marksOf(series, at)) {
    if (mark.point - 1 !== before?.point) context.moveTo(mark.left, mark.top);
    else if (series.kind === "step") context.lineTo(mark.left, before.top);
    context.lineTo(mark.left, mark.top);
    before = mark;
  }
  context.lineWidth = series.width ?? 2;
  context.lineJoin = "round";
  context.stroke();
}

function paintPoints(context, series, at) {
  const { symbol = "circle", size = 6, isRimmed } = series;
  const isCross = symbol === "cross"; // it has no inside
  if (!isCross) context.strokeStyle = token("--ink");
  const path = SHAPES[symbol];
  const shape = Object.assign(new Path2D(path), { path }); // an SVG needs the path as text
  for (const { left, top } of marksOf(series, at)) {
    context.save();
    context.translate(left, top);
    context.scale(size / 2, size / 2);
    context.lineWidth = (isCross ? 3 : 2) / size;
    context.fill(shape);
    if (isCross || isRimmed) context.stroke(shape);
    context.restore();
  }
}

function paintBars(context, series, at, { left, right }) {
  const high = (series.thick ?? 0.7) * at.row;
  for (const bar of marksOf(series, at)) {
    if (bar.left === bar.right) continue;
    const from = Math.max(left, bar.left);
    const wide = Math.min(right, bar.right) - from;
    const gap = wide > 4 ? 1 : 0; // to the next bar
    context.fillRect(from, bar.top - high / 2, Math.max(1, wide - gap), high);
  }
}

function paintRanges(context, series, at) {
  for (const { left, right, top } of marksOf(series, at)) {
    context.fillRect(left, top - 1, right - left, 2);
    context.fillRect(left - 1, top - 5, 2, 10);
    context.fillRect(right - 1, top - 5, 2, 10);
  }
}

/** Paint a band from each bar to the next bar above: as wide as `x` at its bar, and as `end` at the next one. */
function paintFlows(context, { x, end = [], y, thick = 0.7 }, at) {
  x.forEach((value, number) => {
    if (!value) return;
    const low = at.y(y[number] + thick / 2);
    const high = at.y(y[number] + 1 - thick / 2);
    context.beginPath();
    context.moveTo(at.x(0), low);
    context.lineTo(at.x(value), low);
    context.lineTo(at.x(Math.min(end[number], value)), high);
    context.lineTo(at.x(0), high);
    context.fill();
  });
}

/** Write lines of text at the right edge, on a phone over the bars; the first line has the strong colour. */
function paintTexts(context, { y, words = [] }, at, { right }) {
  context.textAlign = "right";
  y.forEach((value, number) => {
    const lines = words[number].split("\n");
    const first = at.y(value) - 7.5 * (lines.length - 1);
    lines.forEach((line, place) => paintLabel(context, line, right, first + 15 * place, place ? "--quiet" : "--ink"));
  });
}

/** Paint a value for each cell of a grid: smoothed between numbers, but not between choices. */
function paintCells(context, { x, y, rows, scale, colors }, figure, at) {
  if (!x.length || !y.length) return;
  const made = element("canvas", { width: x.length, height: y.length });
  const own = /** @type {CanvasRenderingContext2D} */ (made.getContext("2d"));
  const image = own.createImageData(x.length, y.length);
  // The first row of an image is at its top; the first row of an upward axis is at its bottom.
  const downwards = figure.y.low < figure.y.high ? rows.toReversed() : rows;
  downwards.flat().forEach((value, cell) => {
    if (isNumber(value)) image.data.set(colorOn(colors, placeOn(scale, value)), 4 * cell);
  });
  own.putImageData(image, 0, 0);
  const [left, right] = edges(x, at.x);
  const [top, bottom] = edges(y, at.y);
  context.imageSmoothingEnabled = !figure.x.choices.length && !figure.y.choices.length;
  context.drawImage(made, left, top, right - left, bottom - top);
}

/** Return the outer edges, in pixels and in order, of cells that are evenly spaced in pixels, also on a logarithmic axis. */
function edges(places, at) {
  const first = at(places[0]);
  const last = at(places.at(-1));
  const cell = places.length > 1 ? (last - first) / (places.length - 1) : at(places[0] + 1) - first;
  return [first - cell / 2, last + cell / 2].toSorted((a, b) => a - b);
}

/** Return red, green, blue and opacity (0 to 255) of a mix of two colours `rgba(...)`. */
export function colorOn(colors, share) {
  const [from, to] = colors.map((color) => color.match(/[\d.]+/g).map(Number));
  const at = Math.max(0, Math.min(1, share));
  return from.map((part, number) => (part + at * (to[number] - part)) * (number === 3 ? 255 : 1));
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
  points: paintPoints,
  bars: paintBars,
  ranges: paintRanges,
  flows: paintFlows,
  texts: paintTexts,
};
