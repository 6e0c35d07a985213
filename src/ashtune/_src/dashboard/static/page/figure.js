// The frame of a figure: title, legend, drawing area, and its data as a table for readers who cannot see it.

import { keep, kept } from "./address.js";
import { scaled, textOn, valueAt } from "./axis.js";
import { button, element, replaceChildren, set, setText, table } from "./dom.js";
import { canvasIn } from "./canvas.js";
import { colorOn, isSpoken, Plot } from "./plot.js";
import { SvgContext } from "./svg.js";
import { fillOf, patternOf, STROKES, token } from "./theme.js";
import { countText, isNumber } from "./text.js";

const ROWS = 200;
/** The height of the name, and of each entry of the legend, in a saved picture. */
const LINE = 18;
/** The least pixels of a PNG for each pixel of the page. */
const SHARP = 2;
/** The parameter of the page's address with the reader's scales. */
const SCALES = "log";

export class Figure {
  /** @param title Title above the figure; may be empty. @param name Its name for screen readers. */
  constructor(title = "", name = title) {
    /** @type {Plot | null} */
    this._drawn = null;
    this.plot = element("div.plot", { role: "img", "aria-label": name });
    this._name = name;
    this._caption = element("span.caption.quiet");
    this._legend = new Legend();
    this._table = element("div");
    this._again = () => {};
    this._scales = ["x", "y"].map((end) => {
      const onchange = () => {
        keep({ [SCALES]: JSON.stringify({ ...chosenScales(), [`${name}:${end}`]: box.checked }) });
        this._again();
      };
      const box = element("input", { type: "checkbox", onchange });
      return { end, box, label: element("label.tick", { hidden: true }, box, `${end} axis logarithmic`) };
    });
    this._details = element(
      "details",
      { class: "data", hidden: true, "data-key": `more of ${name}` },
      element("summary", "Axes, picture, table"),
      element("p.choice", ["PNG", "SVG"].map((kind) => button(`Save as ${kind}`, () => this._save(kind))), this._scales.map(({ label }) => label)),
      this._table,
    );
    this._details.addEventListener("toggle", () => this._fill());
    this._rows = null;
    /** @type {LegendEntry[]} */
    this._entries = [];
    this.element = element(
      "figure",
      { "aria-label": name },
      element("figcaption", element("span.title", title), this._caption),
      this._legend.element,
      this.plot,
      this._details,
    );
  }

  /**
   * Show a figure; call it again whenever the figure changes.
   *
   * @param {FigureValue} figure
   */
  show(figure) {
    this._again = () => this.show(figure);
    this._offerScales(figure);
    const { x, y, series, cells, notes } = this._scaled(figure);
    this.plot.hidden = this._details.hidden = !series.length && !cells;
    setText(this._caption, notes.join(" · "));
    if (this.plot.hidden) return;
    this._drawn ??= new Plot(this.plot);
    this._drawn.draw({ ...figure, x, y });
    this._entries = legendOf(figure);
    this._legend.show(this._entries);
    const names = series.map(({ name }) => name).filter(Boolean);
    const over = [y.name || x.name, y.name && x.name].filter(Boolean).join(" over ");
    this.describe([this._name, over, ...names].filter(Boolean).join(", "));
    this.data(() => tableOf(figure));
  }

  /** Set the figure's description for screen readers. */
  describe(words) {
    set(this.plot, { "aria-label": words });
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

  /** Offer the other scale of each axis that can have both. @param {FigureValue} figure */
  _offerScales(figure) {
    for (const { end, box, label } of this._scales) {
      label.hidden = leastOn(figure, end) <= 0;
      box.checked = scaleOf(this._name, end) ?? figure[end].isLog;
    }
  }

  /** Return a figure with the scales that the reader has chosen. @param {FigureValue} figure */
  _scaled(figure) {
    const axis = (end) => {
      const [isLog, least] = [scaleOf(this._name, end), leastOn(figure, end)];
      return isLog === null || !(least > 0) ? figure[end] : scaled(figure[end], isLog, least);
    };
    return { ...figure, x: axis("x"), y: axis("y") };
  }

  /** Save the picture with its name and its legend. @param kind "PNG" or "SVG". */
  _save(kind) {
    const canvas = canvasIn(this.plot);
    if (!canvas) return;
    const head = LINE * (1.5 + this._entries.length);
    const [width, height] = [canvas.width, canvas.height + head];
    const link = element("a", { download: `${this._name}.${kind.toLowerCase()}` });
    if (kind === "SVG") {
      const context = new SvgContext(width, height);
      this._paint(context, canvas, head);
      const text = new XMLSerializer().serializeToString(context.element);
      link.href = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
    } else {
      const ratio = Math.max(SHARP, devicePixelRatio);
      const made = element("canvas", { width: Math.round(width * ratio), height: Math.round(height * ratio) });
      const context = /** @type {CanvasRenderingContext2D} */ (made.getContext("2d"));
      context.scale(ratio, ratio);
      this._paint(context, canvas, head);
      link.href = made.toDataURL();
    }
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000); // it is saved by then
  }

  /** Paint the name, the legend and the figure, each below the one before. @param {import("./canvas.js").Canvas} canvas */
  _paint(context, canvas, head) {
    context.fillStyle = token("--paper");
    context.fillRect(0, 0, canvas.width, canvas.height + head);
    context.translate(0, head);
    canvas.paintOn(context);
    context.translate(0, -head);
    context.textAlign = "left";
    context.lineWidth = 1;
    context.strokeStyle = context.fillStyle = token("--ink");
    context.fillText(this._name, LINE, LINE);
    for (const [place, [color, text, shape = ""]] of this._entries.entries()) {
      const top = LINE * (place + 2);
      const solid = color.startsWith("--") ? token(color) : color;
      context.fillStyle = patternOf(context, solid, shape in STROKES ? shape : "");
      context.beginPath();
      context.rect(LINE, shape === "line" ? top - 2 : top - 5, 10, shape === "line" ? 3 : 10);
      context.fill();
      if (shape === "rimmed") context.stroke();
      context.fillStyle = token("--ink");
      context.fillText(text, 2 * LINE, top);
    }
  }

  _fill() {
    if (!this._details.open || this._rows === null) return;
    const [columns, rows] = this._rows();
    const more =
      rows.length > ROWS &&
      element("p.quiet", `the last ${ROWS} of ${countText(rows.length)} rows`);
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

  /** Show figures, and remove the others. @param {[string, FigureValue][]} named */
  show(named) {
    const before = this._figures;
    this._figures = new Map(named.map(([name]) => [name, before.get(name) ?? new Figure(this._titleOf(name))]));
    for (const [name, figure] of before) if (!this._figures.has(name)) figure.destroy();
    const elements = [...this._figures.values()].map((each) => each.element);
    const { children } = this._place;
    if (elements.length !== children.length || elements.some((each, at) => each !== children[at]))
      this._place.replaceChildren(...elements);
    for (const [name, value] of named) this._figures.get(name)?.show(value);
  }
}

/**
 * Return the least value on an axis that may be linear or logarithmic; 0 if it may not.
 *
 * @param {FigureValue} figure @param {string} end "x" or "y".
 */
export function leastOn(figure, end) {
  const { low, high, choices, written } = /** @type {Axis} */ (figure[end]);
  const isLines = figure.series.every(({ kind }) => ["line", "step", "points"].includes(kind));
  if (choices.length || figure.cells || written === "share" || !isLines) return 0;
  const values = figure.series.flatMap((each) => each[end].filter((value) => isNumber(value) && value >= low));
  const least = values.reduce((one, other) => Math.min(one, other), high);
  return values.length && least < high ? Math.max(0, least) : 0;
}

/** Return whether the reader has chosen a logarithmic scale, or null if the reader has chosen none. */
function scaleOf(name, end) {
  return chosenScales()[`${name}:${end}`] ?? null;
}

/** @returns {Record<string, boolean>} */
function chosenScales() {
  try {
    return JSON.parse(kept(SCALES)) ?? {};
  } catch {
    return {}; // somebody has changed the address
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
    const mixed = (share) => {
      const [red, green, blue, opacity] = colorOn(colors, share);
      return `rgba(${red}, ${green}, ${blue}, ${opacity / 255})`;
    };
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
  const spoken = series.filter(isSpoken);
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
    this.element = element("ul.legend", { hidden: true });
    this._shown = "";
  }

  /** @param {LegendEntry[]} entries */
  show(entries) {
    const shown = JSON.stringify(entries);
    if (shown === this._shown) return;
    this._shown = shown;
    this.element.hidden = !entries.length;
    replaceChildren(
      this.element,
      entries.map(([color, name, shape = "dot"]) => {
        const mark = element("i", { class: shape in STROKES ? "pattern" : shape, "aria-hidden": "true" });
        mark.style.setProperty("--color", color.startsWith("--") ? `var(${color})` : color);
        if (shape in STROKES) mark.style.background = fillOf(color, shape);
        return element("li", mark, name);
      }),
    );
  }
}
