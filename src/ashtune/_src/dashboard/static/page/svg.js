// A drawing context that records a picture as SVG. It has the part of a canvas's context that figures use.

import { FONT } from "./canvas.js";
import { element, set } from "./dom.js";
import { STROKES, TILE } from "./theme.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const ANCHORS = { left: "start", center: "middle", right: "end" };
/** The number of the last clip path or pattern: their ids differ in all pictures. */
let last = 0;

export class SvgContext {
  fillStyle = "#000";
  strokeStyle = "#000";
  globalAlpha = 1;
  lineWidth = 1;
  lineJoin = "miter";
  textAlign = "left";
  imageSmoothingEnabled = true;
  _transform = "";
  _path = "";
  _kept = [];
  _measure = /** @type {CanvasRenderingContext2D} */ (element("canvas").getContext("2d"));

  /** @param width In pixels, as the height. */
  constructor(width, height) {
    const size = { width, height, viewBox: `0 0 ${width} ${height}` };
    this.element = made("svg", { ...size, "font-family": "system-ui, sans-serif", "font-size": 12 });
    this._group = this.element;
    this._measure.font = FONT;
  }

  save() {
    this._kept.push({ ...this });
  }

  restore() {
    Object.assign(this, this._kept.pop());
  }

  translate(x, y) {
    this._transform += `translate(${short(x)} ${short(y)}) `;
  }

  rotate(angle) {
    this._transform += `rotate(${short((180 * angle) / Math.PI)}) `;
  }

  scale(x, y) {
    this._transform += `scale(${short(x)} ${short(y)}) `;
  }

  beginPath() {
    this._path = "";
  }

  moveTo(x, y) {
    this._path += `M${short(x)} ${short(y)}`;
  }

  lineTo(x, y) {
    this._path += `${this._path ? "L" : "M"}${short(x)} ${short(y)}`;
  }

  bezierCurveTo(...numbers) {
    this._path += `C${numbers.map(short).join(" ")}`;
  }

  rect(x, y, width, height) {
    this._path += rectangle(x, y, width, height);
  }

  /** Cut what follows at the path, until `restore`. */
  clip() {
    const id = newId();
    const clip = made("clipPath", { id }, made("path", { d: this._path, transform: this._transform }));
    const group = made("g", { "clip-path": `url(#${id})` });
    this._group.append(clip, group);
    this._group = group;
  }

  /** @param shape A `Path2D` with its path as text, or undefined for the path of this context. */
  fill({ path } = { path: this._path }) {
    this._add("path", { d: path, ...this._filled() });
  }

  stroke({ path } = { path: this._path }) {
    this._add("path", { d: path, ...this._stroked() });
  }

  fillRect(x, y, width, height) {
    this._add("path", { d: rectangle(x, y, width, height), ...this._filled() });
  }

  fillText(text, x, y) {
    this._write(text, x, y, this._filled());
  }

  strokeText(text, x, y) {
    this._write(text, x, y, this._stroked());
  }

  measureText(text) {
    return this._measure.measureText(text);
  }

  /** Return a fill of the tiles that `patternOf` makes. */
  createPattern({ dataset: { color, pattern } }) {
    const id = newId();
    const fill = made(
      "pattern",
      { id, width: TILE, height: TILE, patternUnits: "userSpaceOnUse" },
      made("path", { d: rectangle(0, 0, TILE, TILE), ...painted("fill", color), opacity: 0.4 }),
      made("path", { d: STROKES[pattern], ...painted("stroke", color), fill: "none", "stroke-width": 2 }),
    );
    this._group.append(fill);
    return `url(#${id})`;
  }

  drawImage(image, x, y, width, height) {
    const smooth = this.imageSmoothingEnabled ? null : "pixelated";
    const place = { x, y, width, height, preserveAspectRatio: "none", "image-rendering": smooth };
    this._add("image", { href: image.toDataURL(), ...place });
  }

  _write(text, x, y, looks) {
    this._add("text", { x: short(x), y: short(y), dy: ".3em", "text-anchor": ANCHORS[this.textAlign], ...looks, text });
  }

  _add(name, attributes) {
    const opacity = this.globalAlpha === 1 ? null : this.globalAlpha;
    this._group.append(made(name, { ...attributes, opacity, transform: this._transform.trim() || null }));
  }

  _filled() {
    return painted("fill", this.fillStyle);
  }

  _stroked() {
    const line = { "stroke-width": short(this.lineWidth), "stroke-linejoin": this.lineJoin };
    return { fill: "none", ...painted("stroke", this.strokeStyle), ...line };
  }
}

function made(name, attributes, ...children) {
  const one = document.createElementNS(NAMESPACE, name);
  set(one, attributes);
  one.append(...children);
  return one;
}

function newId() {
  last += 1;
  return `ashtune-${last}`;
}

/** Return the attributes of a colour. Programs that read SVG 1.1 know no colour with an opacity. */
function painted(kind, color) {
  const [, solid, opacity] = /^rgba\((.+),\s*([^,]+)\)$/.exec(color) ?? [];
  return solid ? { [kind]: `rgb(${solid})`, [`${kind}-opacity`]: opacity } : { [kind]: color };
}

function rectangle(x, y, width, height) {
  return `M${short(x)} ${short(y)}h${short(width)}v${short(height)}h${short(-width)}z`;
}

function short(number) {
  return Number(number.toFixed(3));
}
