// The result over two hyperparameters: bands of equal value, and the trials that they come from.

import { CATEGORIES } from "../looks.js";
import { hyperparameterAxis, metricAxis, placeOn, valueAt } from "../page/axis.js";
import { element, fillOptions, openTrial } from "../page/dom.js";
import { Figure } from "../page/figure.js";
import { Section } from "../page/section.js";
import { isNumber, numberText, plural, shortened } from "../page/text.js";
import { channels } from "../page/theme.js";

const HEIGHT = 380;
const BANDS = 10;
/** How strong the worst band is: where nothing is known there is no colour. */
const FAINT = 0.06;
/** Pixels of a cell's side in the picture. */
const FINE = 8;

export function contour(study) {
  const section = new Section(
    "contour",
    "Two at once",
    "The result over two hyperparameters, in bands, the best in full colour; a point is a trial.",
    "Contours",
  );
  const [x, y] = [element("select", { id: "contour-x" }), element("select", { id: "contour-y" })];
  const figure = new Figure();
  const labels = [
    element("label", { for: "contour-x", text: "across " }),
    element("label", { for: "contour-y", text: "up " }),
  ];
  section.body.append(element("p", { class: "choice" }, labels[0], x, labels[1], y), figure.element);
  study.on(["space"], () => {
    const options = study.names.map((name) => [name, shortened(name, 40)]);
    if (fillOptions(x, options) && fillOptions(y, options)) y.selectedIndex = Math.min(1, options.length - 1);
  });
  const parameters = () => [
    ["x", x.value],
    ["y", y.value],
  ];
  const isAsked = () => study.parts.head?.best && x.value && y.value && x.value !== y.value;
  const consider = section.askWhenSeen(
    study,
    () => (isAsked() ? ["contour", parameters()] : null),
    (answer) => drawContour(answer, figure),
  );
  for (const select of [x, y]) {
    select.addEventListener("change", () => {
      section.say(x.value === y.value ? "choose two that differ" : "");
      consider();
    });
  }
  return section;
}

/** @param {Answers["contour"]} answer @param {Figure} figure */
function drawContour({ metric, mode, grid, points, text, ...of }, figure) {
  const [x, y] = [hyperparameterAxis(of.x), hyperparameterAxis(of.y)];
  const values = metricAxis([...grid.flat(), ...points.value], { metric, mode });
  const fromTheWorst = (place) => (mode === "min" ? 1 - place : place);
  const band = (value) => {
    const share = fromTheWorst(Math.max(0, Math.min(1, placeOn(values, value))));
    return FAINT + ((1 - FAINT) * Math.min(BANDS - 1, Math.floor(share * BANDS))) / (BANDS - 1);
  };
  const words = (at) => [
    `trial ${points.trial[at]}: ${numberText(points.value[at])}`,
    `${shortened(of.x.name, 24)} ${x.text(points.x[at])}`,
    `${shortened(of.y.name, 24)} ${y.text(points.y[at])}`,
  ];
  figure.draw(
    [
      { kind: "picture", picture: picture(grid, x, y, band), x: [x.low, x.high], y: [y.low, y.high], color: "" },
      {
        kind: "points",
        x: points.x,
        y: points.y,
        color: "--paper",
        size: 6,
        alpha: 0.9,
        isRimmed: true,
        tip: words,
        pick: (at) => openTrial(points.trial[at]),
      },
    ],
    x,
    y,
    HEIGHT,
  );
  figure.legend(
    [0, 0.25, 0.5, 0.75, 1].map((share) => [
      `color-mix(in srgb, ${CATEGORIES[0]} ${100 * share}%, var(--raised))`,
      numberText(valueAt(values, fromTheWorst(share)), 3),
    ]),
  );
  figure.caption(text);
  figure.describe(`${metric} over ${of.x.name} and ${of.y.name}: ${plural(points.trial.length, "trial")}.`);
  figure.data(() => [
    [of.x.name, of.y.name, "value", "trial"].map((title) => shortened(title, 30)),
    points.trial.map((trial, at) => [
      x.text(points.x[at]),
      y.text(points.y[at]),
      numberText(points.value[at]),
      String(trial),
    ]),
  ]);
}

/**
 * Return a picture of the grid, of any size: its values, cut into bands. Between cells they are interpolated, but not
 * along choices, between which there is nothing.
 */
function picture(grid, x, y, band) {
  const [high, wide] = [grid.length * FINE, (grid[0]?.length ?? 0) * FINE];
  const made = element("canvas", { width: Math.max(1, wide), height: Math.max(1, high) });
  const context = /** @type {CanvasRenderingContext2D} */ (made.getContext("2d"));
  const image = context.createImageData(made.width, made.height);
  const color = channels(CATEGORIES[0]);
  for (let down = 0; down < high; down += 1) {
    for (let right = 0; right < wide; right += 1) {
      const value = between(grid, cellAt(y, high - 1 - down), cellAt(x, right));
      if (value !== null) image.data.set([...color, 255 * band(value)], 4 * (down * wide + right));
    }
  }
  context.putImageData(image, 0, 0);
  return made;
}

/** Return the cell, or the place between cells, of a pixel along an axis. */
function cellAt(axis, pixel) {
  return axis.choices ? Math.floor(pixel / FINE) : (pixel + 0.5) / FINE - 0.5;
}

/** Return the value at a place between cells, from those of its four neighbours that are known; null if none is. */
export function between(grid, row, column) {
  const [low, left] = [Math.floor(row), Math.floor(column)];
  let [sum, weight] = [0, 0];
  for (const down of [low, low + 1]) {
    for (const right of [left, left + 1]) {
      const value = grid[Math.max(0, Math.min(grid.length - 1, down))].at(
        Math.max(0, Math.min(grid[0].length - 1, right)),
      );
      const share = (1 - Math.abs(down - row)) * (1 - Math.abs(right - column));
      if (!isNumber(value)) continue;
      sum += share * value;
      weight += share;
    }
  }
  return weight > 0.25 ? sum / weight : null;
}
