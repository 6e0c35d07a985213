// A canvas that is as wide as its container and sharp on every screen.

import { onChosen } from "../study/chosen.js";
import { element } from "./dom.js";
import { onTheme, token } from "./theme.js";

export const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

/** @type {WeakMap<Element, Canvas>} */
const canvases = new WeakMap();

/** Return the canvas in a container. */
export function canvasIn(place) {
  return canvases.get(place);
}

export class Canvas {
  /**
   * @param {HTMLElement} place Its container.
   * @param paint Called with the context, and width and height in CSS pixels, whenever the canvas must be painted.
   */
  constructor(place, paint) {
    this._place = place;
    this._paint = paint;
    /** In CSS pixels, as it was painted last: to ask the document for each line of a figure is slow. */
    this.width = 0;
    this._height = 0;
    this._least = 0;
    /** @type {HTMLCanvasElement} */
    this.element = element("canvas");
    place.append(this.element);
    canvases.set(place, this);
    this._observer = new ResizeObserver(() => this.repaint());
    this._observer.observe(place);
    this._forget = [onTheme, onChosen].map((on) => on(() => this.repaint()));
  }

  /** Paint the canvas with a height, and at least `least` pixels wide; its container may scroll. */
  draw(height, least = 0) {
    this._height = height;
    this._least = least;
    this.repaint();
  }

  /** Stop painting; called when the container is removed. */
  destroy() {
    this._observer.disconnect();
    for (const forget of this._forget) forget();
  }

  repaint() {
    const width = Math.max(this._least, this._place.clientWidth);
    const context = this.element.getContext("2d");
    if (!this._height || !width || !context) return;
    this.width = width;
    const ratio = devicePixelRatio || 1;
    const size = [Math.round(width * ratio), Math.round(this._height * ratio)];
    if (this.element.width !== size[0] || this.element.height !== size[1])
      [this.element.width, this.element.height] = size;
    this.element.style.width = `${width}px`;
    this.element.style.height = `${this._height}px`;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, this._height);
    this.paintOn(context);
  }

  /** Paint the same on another context. */
  paintOn(context) {
    context.font = FONT;
    context.textBaseline = "middle";
    this._paint(context, this.width, this._height);
  }

  get height() {
    return this._height;
  }
}

/** Write a label with an outline in the page's colour, so that it is readable over lines. */
export function paintLabel(context, text, x, y, color = "--quiet") {
  context.strokeStyle = token("--paper");
  context.lineWidth = 3;
  context.globalAlpha = 0.85;
  context.strokeText(text, x, y);
  context.globalAlpha = 1;
  context.fillStyle = token(color);
  context.fillText(text, x, y);
}
