// A canvas that is as wide as its container and sharp on every screen.

import { onChosen } from "../study/chosen.js";
import { element } from "./dom.js";
import { token } from "./theme.js";

export const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

/** The canvases of the page. A weak reference lets the browser free a canvas whose container was removed. */
const canvases = [];

/** Paint all canvases again, because their colours or the chosen trials have changed. */
export function repaintAll() {
  for (const each of canvases) each.deref()?.repaint();
}

onChosen(repaintAll);

/**
 * Return a canvas in a container: a function that paints it with a height, one that paints it again, and one that
 * paints the same on another context.
 *
 * @param {HTMLElement} place
 * @param paint Called with the context, and width and height in CSS pixels, whenever the canvas must be painted.
 */
export function newCanvas(place, paint) {
  const made = element("canvas");
  place.append(made);
  const canvas = {
    element: made,
    /** In CSS pixels, as it was painted last: to ask the document for each line of a figure is slow. */
    width: 0,
    height: 0,
    /** The least width; a narrower container scrolls. */
    least: 0,
    /** @param {number} height */
    draw(height, least = 0) {
      Object.assign(canvas, { height, least });
      repaint();
    },
    paintOn(context) {
      context.font = FONT;
      context.textBaseline = "middle";
      paint(context, canvas.width, canvas.height);
    },
    repaint,
  };

  function repaint() {
    const width = Math.max(canvas.least, place.clientWidth);
    const context = made.getContext("2d");
    if (!canvas.height || !width || !context) return;
    canvas.width = width;
    const ratio = devicePixelRatio || 1;
    made.width = Math.round(width * ratio); // this also clears the canvas
    made.height = Math.round(canvas.height * ratio);
    made.style.width = `${width}px`;
    made.style.height = `${canvas.height}px`;
    context.scale(ratio, ratio);
    canvas.paintOn(context);
  }

  canvases.push(new WeakRef(canvas));
  new ResizeObserver(repaint).observe(place);
  return canvas;
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
