// The frame of a figure: title, legend, drawing area, and its data as a table for readers who cannot see it.

import { textOn, valueAt } from "./axis.js";
import { button, element, replaceChildren, set, setText, table } from "./dom.js";
import { FONT } from "./canvas.js";
import { Plot } from "./plot.js";
import { fillOf, STROKES, token } from "./theme.js";
import { countText, isNumber } from "./text.js";

const ROWS = 200;
/** The height of the name, and of each entry of the legend, in a saved picture. */
const LINE = 18;

export class Figure {
  /** @param title Title above the figure; may be empty. @param name Its name for screen readers. */
  constructor(title = "", name = title) {
    /** @type {Plot | null} */
    this._drawn = null;
    this.plot = element("div", { class: "plot", role: "img", "aria-label": name });
    this._name = name;
    this._caption = element("span", { class: "caption quiet" });
    this._legend = new Legend();
    this._table = element("div");
    this._details = element("details", { class: "data", hidden: true }, element("summary", { text: "As a table or a picture" }), this._table);
    this._details.addEventListener("toggle", () => this._fill());
    this._rows = null;
    const save = button("Save as PNG", () => this._save());
    this._details.append(save);
    this.element = element(
      "figure",
      { "aria-label": name },
      element("figcaption", {}, element("span", { class: "title", text: title }), this._caption),
      this._legend.element,
      this.plot,
      this._details,
    );
  }

  /**
   * Show a figure; call it again whenever the figure changes.
   *
   * @param {FigureValue} figure
   * @param isPanel Whether it is one of several figures that share a legend and notes.
   */
  show(figure, isPanel = false) {
    const { x, y, series, cells, notes } = figure;
    this.plot.hidden = this._details.hidden = !series.length && !cells;
    setText(this._caption, isPanel ? "" : notes.join(" · "));
    if (this.plot.hidden) return;
    this._drawn ??= new Plot(this.plot);
    this._drawn.draw(figure);
    this.legend(isPanel ? [] : legendOf(figure));
    const names = series.map(({ name }) => name).filter(Boolean);
    const over = [y.name || x.name, y.name && x.name].filter(Boolean).join(" over ");
    this.describe([this._name, over, ...names, "as a table below"].filter(Boolean).join(", "));
    this.data(() => tableOf(figure));
  }

  /** Set the figure's description for screen readers. */
  describe(words) {
    set(this.plot, { "aria-label": words });
  }

  /** Set the legend; see `Legend.show`. @param {LegendEntry[]} entries */
  legend(entries) {
    this._legend.show(entries);
  }

  /** Set the table's data. @param rows Returns the column titles and the rows; called while the table is open. */
  data(rows) {
    this._rows = rows;
    this._details.hidden = false;
    this._fill();
  }

  /** Stop drawing; called when the figure is removed. */
  destroy() {
    this._drawn?.destroy();
  }

  /** Save the picture with its name and its legend as a PNG file. */
  _save() {
    const drawn = this.plot.querySelector("canvas");
    if (!drawn) return;
    const ratio = drawn.width / drawn.clientWidth;
    const head = LINE * (2 + this._legend.entries.length);
    const made = element("canvas", { width: drawn.width, height: drawn.height + head * ratio });
    const context = /** @type {CanvasRenderingContext2D} */ (made.getContext("2d"));
    context.fillStyle = token("--paper");
    context.fillRect(0, 0, made.width, made.height);
    context.drawImage(drawn, 0, head * ratio);
    context.scale(ratio, ratio);
    context.font = FONT;
    for (const [place, [color, text]] of [["--ink", this._name], ...this._legend.entries].entries()) {
      context.fillStyle = color.startsWith("--") ? token(color) : color;
      context.fillRect(LINE, LINE * (place + 1) - 8, 8, 8);
      context.fillStyle = token("--ink");
      context.fillText(text, 2 * LINE, LINE * (place + 1));
    }
    element("a", { href: made.toDataURL(), download: `${this._name}.png` }).click();
  }

  _fill() {
    if (!this._details.open || this._rows === null) return;
    const [columns, rows] = this._rows();
    const more =
      rows.length > ROWS &&
      element("p", { class: "quiet", text: `the last ${ROWS} of ${countText(rows.length)} rows` });
    replaceChildren(this._table, more, table(`Data of ${this._name}`, columns, rows.slice(-ROWS)));
  }
}

/** Several figures in one element, each with its title. */
export class Figures {
  /** @param {HTMLElement} place @param titleOf Returns the title for a name. */
  constructor(place, titleOf) {
    this._place = place;
    this._titleOf = titleOf;
    /** @type {Map<string, Figure>} */
    this._figures = new Map();
  }

  /** Show figures, and remove the others. @param {[string, FigureValue][]} named @param isPanel See `Figure.show`. */
  show(named, isPanel = false) {
    const before = this._figures;
    this._figures = new Map(named.map(([name]) => [name, before.get(name) ?? new Figure(this._titleOf(name))]));
    for (const [name, figure] of before) if (!this._figures.has(name)) figure.destroy();
    const elements = [...this._figures.values()].map((each) => each.element);
    const { children } = this._place;
    if (elements.length !== children.length || elements.some((each, at) => each !== children[at]))
      this._place.replaceChildren(...elements);
    for (const [name, value] of named) this._figures.get(name)?.show(value, isPanel);
  }
}

/** Return the legend's entries for colours and lines. @param {FigureValue} figure @returns {LegendEntry[]} */
function legendOf({ series, cells }) {
  const shape = ({ kind, pattern = "", isRimmed = false }) =>
    pattern || (kind === "line" || kind === "step" ? "line" : isRimmed ? "rimmed" : "dot");
  /** @type {LegendEntry[]} */
  const entries = [];
  for (const each of series) if (each.name) entries.push([each.color, each.name, shape(each)]);
  if (cells) {
    const { scale, colors } = cells;
    const mixed = (share) => `color-mix(in srgb, ${colors[1]} ${100 * share}%, ${colors[0]})`;
    for (const share of [0, 0.25, 0.5, 0.75, 1]) entries.push([mixed(share), textOn(scale, valueAt(scale, share))]);
  }
  return entries;
}

/**
 * Return a figure that also has the series of others, with axes that show all. A repeated series name becomes empty.
 *
 * @param {FigureValue} figure @param {FigureValue[]} others
 */
export function together(figure, others) {
  const wide = (end) => {
    const all = [figure, ...others].map((each) => each[end]);
    const linear = all.filter(({ isLog }) => !isLog); // a logarithmic axis may not show what a linear one shows
    const axes = linear.length ? linear : all;
    const [low, high] = [Math.min(...all.map((each) => each.low)), Math.max(...all.map((each) => each.high))];
    return { ...axes[0], low, high, ticks: [...new Set(axes.flatMap(({ ticks }) => ticks))].sort((a, b) => a - b) };
  };
  const names = new Set();
  const series = [figure, ...others].flatMap((each) => each.series);
  const named = series.map(({ name = "", ...each }) => {
    const isNew = !names.has(name);
    names.add(name);
    return { ...each, name: isNew ? name : "" };
  });
  return { ...figure, x: wide("x"), y: wide("y"), series: named };
}

/** Return the column titles, and one row for each mark that a pointer can reach. @param {FigureValue} figure */
export function tableOf({ x, y, series }) {
  const titles = ["series", y.name || "what", x.name || "value", "trial", "more"];
  const spoken = series.filter(({ kind, isSilent }) => !isSilent && !["flows", "texts", "ranges"].includes(kind));
  const rows = spoken.flatMap((each) =>
    each.x.flatMap((at, point) => {
      if (!isNumber(at) || !isNumber(each.y[point])) return [];
      const value = each.end ? each.end[point] - at : at;
      const [trial, words] = [each.trials?.[point], each.words?.[point] ?? ""];
      const texts = [textOn(y, each.y[point]), textOn(x, value), isNumber(trial) ? String(trial) : ""];
      return [[each.name ?? "", ...texts, words.trim().replaceAll("\n", ", ")]];
    }),
  );
  const isUsed = (_, column) => rows.some((row) => row[column]);
  return [titles.filter(isUsed), rows.map((row) => row.filter(isUsed))];
}

/** The names of the colours. */
export class Legend {
  constructor() {
    this.element = element("ul", { class: "legend", hidden: true });
    /** @type {LegendEntry[]} */
    this.entries = [];
    this._shown = "";
  }

  /** @param {LegendEntry[]} entries */
  show(entries) {
    const shown = JSON.stringify(entries);
    if (shown === this._shown) return;
    this._shown = shown;
    this.entries = entries;
    this.element.hidden = !entries.length;
    replaceChildren(
      this.element,
      entries.map(([color, name, shape = "dot"]) => {
        const mark = element("i", { class: shape in STROKES ? "pattern" : shape, "aria-hidden": "true" });
        mark.style.setProperty("--color", color.startsWith("--") ? `var(${color})` : color);
        if (shape in STROKES) mark.style.background = fillOf(color, shape);
        return element("li", {}, mark, name);
      }),
    );
  }
}
