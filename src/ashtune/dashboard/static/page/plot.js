// Series over two axes. A text follows the pointer to the nearest mark, a click opens its trial, dragging zooms along x.

import { numberAxis, placeOn, ticksOf, valueAt } from "./axis.js";
import { Canvas } from "./canvas.js";
import { element, replaceChildren } from "./dom.js";
import { colorOf, patternOf, token } from "./theme.js";
import { isNumber, shortened } from "./text.js";

const [TOP, RIGHT, TICKS, LABEL] = [10, 12, 24, 18];
/** How far from the pointer a mark may be, in pixels. */
const REACH = 26;
const REACH_OF_BARS = 4;

export class Plot {
  /** @param {HTMLElement} place Where it goes. */
  constructor(place) {
    /** @type {Series[]} */
    this._series = [];
    this._x = this._y = numberAxis("", 0, 1);
    /** Where values are, and which value is at a pixel from the left. */
    this._at = { x: (value) => value, y: (value) => value, valueAt: (pixel) => pixel };
    this._canvas = new Canvas(place, (context, width, height) => this._paint(context, width, height));
    this._tip = new Tip(place);
    /** The ends of what is zoomed in on, and while it is dragged, in pixels from the left. @type {number[] | null} */
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

  /**
   * Draw series; it may be called as often as they change.
   *
   * @param {Series[]} series
   * @param {Axis} x
   * @param {Axis} y
   * @param height In pixels.
   */
  draw(series, x, y, height) {
    this._series = series;
    [this._x, this._y] = [x, y];
    this._canvas.draw(height);
  }

  /** End it, when its place is removed. */
  destroy() {
    this._canvas.destroy();
  }

  _paint(context, width, height) {
    const x = this._zoom ? { ...this._x, low: this._zoom[0], high: this._zoom[1] } : this._x;
    const y = this._y;
    const high = height - TOP - TICKS - (x.label ? LABEL : 0);
    const ticks = ticksOf(y, high, 22);
    const left = (y.label ? LABEL : 0) + 12 + Math.max(18, ...ticks.map(([, text]) => context.measureText(text).width));
    const wide = Math.max(1, width - left - RIGHT);
    this._at = {
      x: (value) => left + wide * placeOn(x, value),
      y: (value) => TOP + high * (1 - placeOn(y, value)),
      valueAt: (pixel) => valueAt(x, (pixel - left) / wide),
    };
    context.fillStyle = token("--quiet");
    context.textAlign = "right";
    for (const [at, text] of ticks) {
      const top = this._at.y(at);
      if (!y.choices) paintGrid(context, left, top, wide, 1);
      context.fillText(text, left - 6, top);
    }
    context.textAlign = "center";
    for (const [at, text] of ticksOf(x, wide)) {
      if (!x.choices) paintGrid(context, this._at.x(at), TOP, 1, high);
      const half = context.measureText(text).width / 2;
      context.fillText(text, Math.min(this._at.x(at), width - half), TOP + high + 13);
    }
    if (x.label) context.fillText(shortened(x.label, 70), left + wide / 2, height - 8);
    if (y.label) paintUpwards(context, shortened(y.label, 40), 8, TOP + high / 2);
    context.save();
    context.beginPath();
    context.rect(left, TOP - 1, wide, high + 2);
    context.clip();
    for (const series of this._series) PAINT[series.kind](context, series, this._at, { left, top: TOP, wide, high });
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
    const near = nearest(this._series, this._at, event);
    this._canvas.element.classList.toggle("pickable", Boolean(near?.series.pick));
    if (near?.series.tip) this._tip.show(near.left, near.top, near.series.tip(near.point));
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
    const near = nearest(this._series, this._at, event);
    near?.series.pick?.(near.point);
  }

  _zoomTo(ends) {
    this._zoom = ends;
    this._canvas.repaint();
  }
}

/**
 * Return the series and the point nearest to the pointer, if one is near that has a text.
 *
 * @param {Series[]} all
 * @param at Where values are, in pixels.
 * @param {{ offsetX: number, offsetY: number }} pointer
 */
export function nearest(all, at, { offsetX, offsetY }) {
  let best = /** @type {{ far: number, series: Series, point: number, left: number, top: number } | null} */ (null);
  for (const series of all.filter(({ tip }) => tip)) {
    const isBars = series.kind === "bars";
    series.x.forEach((value, point) => {
      if (!isNumber(value) || !isNumber(series.y[point])) return;
      const [left, top] = [at.x(value), at.y(series.y[point])];
      const right = isBars ? at.x(series.end?.[point]) : left;
      const isInLane = Math.abs(top - offsetY) < (series.thick ?? 0) / 2 + 3;
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

  /** Show lines at a point of the place, in pixels. @param {(string | false)[]} lines */
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

function paintLine(context, { kind, x, y, color, width = 2, alpha = 1 }, at, { top, high }) {
  /** @type {[number, number] | null} */
  let last = null;
  let first = 0;
  context.beginPath();
  x.forEach((value, number) => {
    if (!isNumber(value) || !isNumber(y[number])) return;
    const [left, down] = [at.x(value), at.y(y[number])];
    if (last === null) context.moveTo((first = left), down);
    else if (kind === "step") context.lineTo(left, last[1]);
    context.lineTo(left, down);
    last = [left, down];
  });
  context.strokeStyle = context.fillStyle = colorOf(color);
  context.globalAlpha = alpha;
  context.lineWidth = width;
  context.lineJoin = "round";
  context.stroke();
  if (kind !== "area" || last === null) return;
  context.lineTo(last[0], top + high);
  context.lineTo(first, top + high);
  context.globalAlpha = 0.27;
  context.fill();
}

function paintPoints(context, { x, y, color, size = 5, alpha = 0.85, isRimmed }, at) {
  context.globalAlpha = alpha;
  context.strokeStyle = token("--ink");
  context.lineWidth = 1;
  x.forEach((value, number) => {
    if (!isNumber(value) || !isNumber(y[number])) return;
    context.fillStyle = colorOf(color, number);
    context.beginPath();
    context.arc(at.x(value), at.y(y[number]), size / 2, 0, 2 * Math.PI);
    context.fill();
    if (isRimmed) context.stroke();
  });
}

function paintBars(context, { x, end = [], y, color, pattern, thick = 8, alpha = 1 }, at, { left, wide }) {
  context.globalAlpha = alpha;
  x.forEach((value, number) => {
    if (value === end[number]) return;
    const from = Math.max(left, at.x(value));
    const to = Math.min(left + wide, at.x(end[number]));
    context.fillStyle = patternOf(context, colorOf(color, number), pattern?.(number));
    context.fillRect(from, at.y(y[number]) - thick / 2, Math.max(1, to - from - (to - from > 4 ? 1 : 0)), thick);
  });
}

/** Paint dashed frames where bars would be. */
function paintFrames(context, { x, end = [], y, color, thick = 8 }, at) {
  context.strokeStyle = colorOf(color);
  context.setLineDash([4, 3]);
  x.forEach((value, number) => {
    const from = at.x(value);
    if (end[number] > value) context.strokeRect(from, at.y(y[number]) - thick / 2, at.x(end[number]) - from, thick);
  });
  context.setLineDash([]);
}

/** Paint what goes from each bar, of which it takes up to `x`, to the one above it, where it takes up to `end`. */
function paintFlows(context, { x, end = [], y, color, thick = 8, alpha = 1 }, at) {
  context.globalAlpha = alpha;
  end.forEach((value, number) => {
    if (!x[number]) return;
    const [from, to, zero] = [at.x(x[number]), at.x(value), at.x(0)];
    const [low, high] = [at.y(y[number]) - thick / 2, at.y(y[number + 1]) + thick / 2];
    const middle = (low + high) / 2;
    context.fillStyle = colorOf(color, number);
    context.beginPath();
    context.moveTo(zero, low);
    context.lineTo(from, low);
    context.bezierCurveTo(from, middle, to, middle, to, high);
    context.lineTo(zero, high);
    context.fill();
  });
}

/** Write lines of text at the right end, the first one strong. */
function paintTexts(context, { y, lines }, at, { left, wide }) {
  context.globalAlpha = 1;
  context.textAlign = "right";
  y.forEach((value, number) => {
    lines(number).forEach((line, place) => {
      context.fillStyle = token(place ? "--quiet" : "--ink");
      context.fillText(line, left + wide, at.y(value) + 15 * place - 7.5 * (lines(number).length - 1));
    });
  });
}

function paintPicture(context, { picture, x, y }, at) {
  const [[low, high], [bottom, top]] = [x.map(at.x), y.map(at.y)];
  context.drawImage(picture, low, top, high - low, bottom - top);
}

/** How each kind of series is painted. @type {Record<Series["kind"], Function>} */
const PAINT = {
  line: paintLine,
  step: paintLine,
  area: paintLine,
  points: paintPoints,
  bars: paintBars,
  frames: paintFrames,
  flows: paintFlows,
  texts: paintTexts,
  picture: paintPicture,
};
