// The result over two hyperparameters: bands of equal value, and the trials that they come from.

import { Canvas, logTicks, roundTicks } from "../page/canvas.js";
import { element, openTrial } from "../page/dom.js";
import { Figure, Tip } from "../page/figure.js";
import { metricRange, placeOn, valueAt } from "../page/range.js";
import { Section } from "../page/section.js";
import { channels, colorOn, token } from "../page/theme.js";
import { isNumber, numberText, plural, shortened, valueText } from "../page/text.js";

const HEIGHT = 380;
const BANDS = 10;
const FINE = 8;
const LEFT = 64;
const [RIGHT, TOP, BOTTOM] = [12, 10, 44];
/** From the worst to the best: pale to strong, readable on light and on dark paper. */
const SCALE = ["#d9a62e", "#6bb04f", "#2aa39a", "#2f8fc4", "#4262c9"];

export function contour(study) {
  const section = new Section(
    "contour",
    "Two at once",
    "The result over two hyperparameters, in bands; a point is a trial.",
    "Contours",
  );
  const [x, y] = [element("select", { id: "contour-x" }), element("select", { id: "contour-y" })];
  const figure = new Figure();
  const map = new ContourMap(figure.plot);
  section.body.append(
    element(
      "p",
      { class: "choice" },
      element("label", { for: "contour-x", text: "across " }),
      x,
      element("label", { for: "contour-y", text: "up " }),
      y,
    ),
    figure.element,
  );
  study.on(["space"], () => {
    const { names } = study;
    if (x.options.length === names.length) return;
    for (const [number, select] of [x, y].entries()) {
      select.replaceChildren(...names.map((name) => element("option", { value: name, text: shortened(name, 40) })));
      select.selectedIndex = Math.min(number, names.length - 1);
    }
  });
  const question = () =>
    study.parts.head?.best && x.value && y.value && x.value !== y.value
      ? [
          "contour",
          [
            ["x", x.value],
            ["y", y.value],
          ],
        ]
      : null;
  const consider = section.askWhenSeen(study, question, (answer) => {
    const mode = answer.mode ?? study.objective.mode;
    const range = map.draw(answer, mode);
    figure.legend(
      SCALE.map((color, number) => {
        const place = fromTheWorst(mode, number / (SCALE.length - 1));
        return [color, numberText(valueAt(range, place), 3)];
      }),
    );
    figure.caption(answer.text);
    figure.describe(
      `${answer.metric} over ${answer.x.name} and ${answer.y.name}: ${plural(answer.points.trial.length, "trial")}.`,
    );
    figure.data(() => [
      [answer.x.name, answer.y.name, "value", "trial"].map((title) => ({ title: shortened(title, 30) })),
      answer.points.trial.map((trial, at) => [
        textOf(answer.x, answer.points.x[at]),
        textOf(answer.y, answer.points.y[at]),
        numberText(answer.points.value[at]),
        String(trial),
      ]),
    ]);
  });
  for (const select of [x, y]) {
    select.addEventListener("change", () => {
      section.say(x.value === y.value ? "choose two that differ" : "");
      consider();
    });
  }
  return section;
}

class ContourMap {
  constructor(place) {
    this._answer = null;
    this._canvas = new Canvas(place, (context, width) => this._paint(context, width));
    this._tip = new Tip(place);
    place.addEventListener("pointermove", (event) => this._point(event));
    place.addEventListener("pointerleave", () => this._tip.hide());
    place.addEventListener("click", (event) => {
      const at = this._at(event);
      if (at !== null) openTrial(this._answer.points.trial[at]);
    });
  }

  /** Draw an answer. Return the range of its values. */
  draw(answer, mode) {
    this._answer = answer;
    this._range = metricRange([...answer.grid.flat(), ...answer.points.value], mode);
    this._mode = mode;
    this._picture = null;
    this._canvas.draw(HEIGHT);
    return this._range;
  }

  _paint(context, width) {
    if (this._answer === null) return;
    const [wide, high] = [width - LEFT - RIGHT, HEIGHT - TOP - BOTTOM];
    this._picture ??= picture(this._answer, (value) => this._share(value));
    context.fillStyle = token("--raised");
    context.fillRect(LEFT, TOP, wide, high);
    context.imageSmoothingEnabled = true;
    context.globalAlpha = 0.82;
    context.drawImage(this._picture, LEFT, TOP, wide, high);
    context.globalAlpha = 1;
    this._paintAxes(context, width, wide, high);
    const { points } = this._answer;
    points.trial.forEach((trial, at) => {
      const [x, y] = this._place(width, at);
      context.beginPath();
      context.arc(x, y, 3.4, 0, 2 * Math.PI);
      context.fillStyle = colorOn(SCALE, this._share(points.value[at]));
      context.fill();
      context.strokeStyle = token("--paper");
      context.lineWidth = 1.2;
      context.stroke();
    });
  }

  _paintAxes(context, width, wide, high) {
    const { x, y } = this._answer;
    context.fillStyle = token("--quiet");
    context.textAlign = "center";
    for (const [at, text] of ticksOf(x, wide / 90)) context.fillText(text, LEFT + wide * along(x, at), TOP + high + 13);
    context.textAlign = "right";
    for (const [at, text] of ticksOf(y, high / 40)) context.fillText(text, LEFT - 6, TOP + high * (1 - along(y, at)));
    context.fillStyle = token("--ink");
    context.textAlign = "center";
    context.fillText(shortened(x.name, 40), LEFT + wide / 2, HEIGHT - 8);
    context.save();
    context.translate(8, TOP + high / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(shortened(y.name, 40), 0, 0);
    context.restore();
  }

  _share(value) {
    return fromTheWorst(this._mode, Math.max(0, Math.min(1, placeOn(this._range, value))));
  }

  _place(width, at) {
    const { x, y, points } = this._answer;
    const [wide, high] = [width - LEFT - RIGHT, HEIGHT - TOP - BOTTOM];
    return [LEFT + wide * along(x, points.x[at]), TOP + high * (1 - along(y, points.y[at]))];
  }

  _at(event) {
    if (this._answer === null) return null;
    const box = this._canvas.element.getBoundingClientRect();
    let nearest = null;
    this._answer.points.trial.forEach((_, at) => {
      const [x, y] = this._place(box.width, at);
      const far = Math.hypot(event.clientX - box.left - x, event.clientY - box.top - y);
      if (far < (nearest?.far ?? 16)) nearest = { at, far };
    });
    return nearest?.at ?? null;
  }

  _point(event) {
    const at = this._at(event);
    this._canvas.element.classList.toggle("pickable", at !== null);
    if (at === null) {
      this._tip.hide();
      return;
    }
    const { x, y, points } = this._answer;
    const box = this._canvas.element.getBoundingClientRect();
    const lines = [
      `trial ${points.trial[at]}: ${numberText(points.value[at])}`,
      `${shortened(x.name, 24)} ${textOf(x, points.x[at])}`,
      `${shortened(y.name, 24)} ${textOf(y, points.y[at])}`,
    ];
    this._tip.show(event.clientX - box.left, event.clientY - box.top, lines);
  }
}

/**
 * Return a picture of the grid, of any size: its values, cut into bands. Between cells they are interpolated, but not
 * along choices, between which there is nothing.
 */
function picture({ grid, x, y }, share) {
  const [high, wide] = [grid.length * FINE, (grid[0]?.length ?? 0) * FINE];
  const made = element("canvas", { width: Math.max(1, wide), height: Math.max(1, high) });
  const context = made.getContext("2d");
  const image = context.createImageData(made.width, made.height);
  const bands = Array.from({ length: BANDS }, (_, band) => channels(colorOn(SCALE, (band + 0.5) / BANDS)));
  for (let down = 0; down < high; down += 1) {
    for (let right = 0; right < wide; right += 1) {
      const value = between(grid, cellAt(y, high - 1 - down), cellAt(x, right));
      if (value === null) continue;
      const color = bands[Math.min(BANDS - 1, Math.floor(share(value) * BANDS))];
      image.data.set([...color, 255], 4 * (down * made.width + right));
    }
  }
  context.putImageData(image, 0, 0);
  return made;
}

/** Return the cell, or the place between cells, of a pixel along an axis. */
function cellAt(axis, pixel) {
  return isNamed(axis) ? Math.floor(pixel / FINE) : (pixel + 0.5) / FINE - 0.5;
}

/** Return the value at a place between cells, from those of its four neighbours that are known; null if none is. */
function between(grid, row, column) {
  const [low, left] = [Math.floor(row), Math.floor(column)];
  let [sum, weight] = [0, 0];
  for (const [down, right] of [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ]) {
    const [at, over] = [
      Math.max(0, Math.min(grid.length - 1, low + down)),
      Math.max(0, Math.min(grid[0].length - 1, left + right)),
    ];
    const value = grid[at][over];
    const share = Math.abs(1 - down - (row - low)) * Math.abs(1 - right - (column - left));
    if (!isNumber(value)) continue;
    sum += share * value;
    weight += share;
  }
  return weight > 0.25 ? sum / weight : null;
}

/** Turn a place on an axis, counted from its low end, into one counted from its worst end; or back. */
function fromTheWorst(mode, place) {
  return mode === "min" ? 1 - place : place;
}

/** Whether the values of an axis are places in its choices. */
function isNamed({ choices }) {
  return choices.length > 0;
}

/** Return the place of a value on an axis of the map, from 0 to 1. */
function along(axis, value) {
  if (isNamed(axis)) return (value + 0.5) / axis.choices.length;
  return placeOn({ low: axis.low, high: axis.high, isLog: axis.log && axis.low > 0 }, value);
}

function ticksOf(axis, count) {
  if (isNamed(axis)) return axis.choices.map((choice, at) => [at, shortened(valueText(choice), 9)]);
  const ticks = axis.log && axis.low > 0 ? logTicks(axis.low, axis.high) : roundTicks(axis.low, axis.high, count);
  return ticks.filter((at) => at >= axis.low && at <= axis.high).map((at) => [at, numberText(at)]);
}

function textOf(axis, value) {
  return isNamed(axis) ? valueText(axis.choices[value]) : numberText(value);
}
