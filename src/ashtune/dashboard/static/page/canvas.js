// A canvas that is as wide as its place and sharp on every screen.

import { element } from "./dom.js";
import { onTheme, token } from "./theme.js";

export const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

export class Canvas {
  /**
   * @param place Where it goes.
   * @param paint Called with the context, the width and the height in pixels of the page, whenever it must be painted.
   */
  constructor(place, paint) {
    this._place = place;
    this._paint = paint;
    this._height = 0;
    this._least = 0;
    this.element = element("canvas");
    place.append(this.element);
    new ResizeObserver(() => this._repaint()).observe(place);
    onTheme(() => this._repaint());
  }

  /** Paint it at a height; it is at least `least` pixels wide, so that its place may scroll. */
  draw(height, least = 0) {
    this._height = height;
    this._least = least;
    this._repaint();
  }

  _repaint() {
    const width = Math.max(this._least, this._place.clientWidth);
    if (!this._height || !width) return;
    const ratio = devicePixelRatio || 1;
    const size = [Math.round(width * ratio), Math.round(this._height * ratio)];
    if (this.element.width !== size[0] || this.element.height !== size[1])
      [this.element.width, this.element.height] = size;
    this.element.style.width = `${width}px`;
    this.element.style.height = `${this._height}px`;
    const context = this.element.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, this._height);
    context.font = `12px ${FONT}`;
    context.textBaseline = "middle";
    context.fillStyle = token("--ink");
    this._paint(context, width, this._height);
  }
}

/** Return round numbers between two, about `count` of them. */
export function roundTicks(low, high, count) {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((part) => part * power).find((each) => each >= rough * 0.999);
  const ticks = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step)
    ticks.push(Number(at.toPrecision(12)));
  return ticks;
}

/** Return powers of ten between two positive numbers; the numbers themselves where there are fewer than two. */
export function logTicks(low, high) {
  const powers = [];
  for (let power = Math.ceil(Math.log10(low) - 1e-9); 10 ** power <= high * 1.000001; power += 1)
    powers.push(10 ** power);
  return powers.length > 1 ? powers : [low, high];
}
