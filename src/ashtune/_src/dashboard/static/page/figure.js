// The frame of a figure: title, legend, drawing area, and its data as a table for readers who cannot see it.

import { keep, kept } from "./address.js";
import { scaled, textOn, valueAt } from "./axis.js";
import { button, element, folded, replaceChildren, set, setText, table } from "./dom.js";
import { colorOn, isSpoken, newPlot } from "./plot.js";
import { SvgContext } from "./svg.js";
import { fillOf, patternOf, STROKES, token } from "./theme.js";
import { countText, isNumber } from "./text.js";

const ROWS = 200;
/** The height of the name, and of each entry of the legend, in a saved picture. */
const LINE = 18;
/** The least pixels of a PNG for each pixel of the page. */
const SHARP = 2;

/**
 * Return the frame of a figure.
 *
 * @param title Title above the figure; may be empty. @param name Its name for screen readers.
 */
export function newFigure(title = "", name = title) {
  /** @type {ReturnType<typeof newPlot> | null} */
  let plot = null;
  const place = element("div.plot", { role: "img", "aria-label": name });
  const caption = element("span.caption.quiet");
  const legend = newLegend();
  /** @type {LegendEntry[]} */
  let entries = [];
  const data = element("div");
  /** Returns the titles of the columns, and the rows, of the data. @type {() => string[][][]} */
  let rowsOf = () => [[], []];
  let again = () => {};
  const scales = ["x", "y"].map((end) => {
    const parameter = `log:${name}:${end}`; // of the page's address
    const onchange = () => {
      keep({ [parameter]: box.checked });
      again();
    };
    const box = element("input", { type: "checkbox", onchange });
    const label = element("label.tick", { hidden: true }, box, `${end} axis logarithmic`);
    /** Return the axis with the reader's scale, and offer the other one if it can have both. @param {FigureValue} value */
    const axisOf = (value) => {
      const axis = value[end];
      const least = leastOn(value, end);
      label.hidden = least <= 0;
      box.checked = kept(parameter) ? kept(parameter) === "true" : axis.isLog;
      return label.hidden ? axis : scaled(axis, box.checked, least);
    };
    return { label, axisOf };
  });
  const pictures = [button("Save as PNG", savePng), button("Save as SVG", saveSvg)];
  const choice = element("p.choice", pictures, scales.map(({ label }) => label));
  const details = folded("Axes, picture, table", `more of ${name}`, choice, data);
  set(details, { hidden: true, ontoggle: fill });

  function fill() {
    if (!details.open) return;
    const [columns, rows] = rowsOf();
    const more = rows.length > ROWS && element("p.quiet", `the last ${ROWS} of ${countText(rows.length)} rows`);
    replaceChildren(data, more, table(`Data of ${name}`, columns, rows.slice(-ROWS)));
  }

  function savePng() {
    const { width, height } = sizeOfPicture();
    const ratio = Math.max(SHARP, devicePixelRatio);
    const made = element("canvas", { width: Math.round(width * ratio), height: Math.round(height * ratio) });
    const context = /** @type {CanvasRenderingContext2D} */ (made.getContext("2d"));
    context.scale(ratio, ratio);
    paintPicture(context);
    download("png", made.toDataURL());
  }

  function saveSvg() {
    const { width, height } = sizeOfPicture();
    const context = new SvgContext(width, height);
    paintPicture(context);
    const text = new XMLSerializer().serializeToString(context.element);
    download("svg", URL.createObjectURL(new Blob([text], { type: "image/svg+xml" })));
  }

  function download(ending, href) {
    element("a", { download: `${name}.${ending}`, href }).click();
  }

  function sizeOfPicture() {
    const head = LINE * (1.5 + entries.length);
    return { head, width: figure.canvas.width, height: figure.canvas.height + head };
  }

  /** Paint the name, the legend and the figure, each below the one before. */
  function paintPicture(context) {
    const { head, width, height } = sizeOfPicture();
    context.fillStyle = token("--paper");
    context.fillRect(0, 0, width, height);
    context.translate(0, head);
    figure.canvas.paintOn(context);
    context.translate(0, -head);
    context.textAlign = "left";
    context.lineWidth = 1;
    context.strokeStyle = context.fillStyle = token("--ink");
    context.fillText(name, LINE, LINE);
    for (const [number, [color, text, shape = ""]] of entries.entries()) {
      const top = LINE * (number + 2);
      context.fillStyle = patternOf(context, color, shape in STROKES ? shape : "");
      context.beginPath();
      context.rect(LINE, shape === "line" ? top - 2 : top - 5, 10, shape === "line" ? 3 : 10);
      context.fill();
      if (shape === "rimmed") context.stroke();
      context.fillStyle = token("--ink");
      context.fillText(text, 2 * LINE, top);
    }
  }

  const figure = {
    element: element(
      "figure",
      { "aria-label": name },
      element("figcaption", element("span.title", title), caption),
      legend.element,
      place,
      details,
    ),
    /** The place of its drawing. */
    place,
    /** What is saved as a picture: that of the plot, or of another drawing. @type {any} */
    canvas: null,

    /** Show a figure; call it again whenever the figure changes. @param {FigureValue} value */
    show(value) {
      again = () => figure.show(value);
      const [x, y] = scales.map(({ axisOf }) => axisOf(value));
      const { series, cells } = value;
      place.hidden = details.hidden = !series.length && !cells;
      setText(caption, value.notes.join(" · "));
      if (place.hidden) return;
      plot ??= newPlot(place);
      figure.canvas = plot.canvas;
      plot.draw({ ...value, x, y });
      entries = legendOf(value);
      legend.show(entries);
      const over = [y.name || x.name, y.name && x.name].filter(Boolean).join(" over ");
      const words = [name, over, ...series.map((each) => each.name)].filter(Boolean).join(", ");
      figure.describe(words, () => tableOf(value));
    },

    /**
     * Set the description for screen readers, and the data.
     *
     * @param words The description.
     * @param rows Returns the titles of the columns, and the rows; called while the table is open.
     */
    describe(words, rows) {
      set(place, { "aria-label": words });
      rowsOf = rows;
      details.hidden = false;
      fill();
    },
  };
  return figure;
}

/**
 * Return several figures in one element, each with its title.
 *
 * @param {HTMLElement} place @param titleOf Returns the title for a name.
 */
export function newFigures(place, titleOf) {
  /** @type {Map<string, ReturnType<typeof newFigure>>} */
  let shown = new Map();
  return {
    /** Show figures, and remove the others. @param {[string, FigureValue][]} named */
    show(named) {
      const before = shown;
      shown = new Map(named.map(([name]) => [name, before.get(name) ?? newFigure(titleOf(name))]));
      if (String([...shown.keys()]) !== String([...before.keys()]))
        place.replaceChildren(...[...shown.values()].map((each) => each.element));
      for (const [name, value] of named) shown.get(name)?.show(value);
    },
  };
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
 * Return figures as one, with axes that show all. A repeated series name becomes empty.
 *
 * @param {FigureValue[]} figures
 */
export function together(figures) {
  const wide = (end) => {
    const all = figures.map((each) => each[end]);
    const linear = all.filter(({ isLog }) => !isLog); // a logarithmic axis may not show what a linear one shows
    const axes = linear.length ? linear : all;
    const low = Math.min(...all.map((each) => each.low));
    const high = Math.max(...all.map((each) => each.high));
    return { ...axes[0], low, high, ticks: [...new Set(axes.flatMap(({ ticks }) => ticks))].sort((a, b) => a - b) };
  };
  const names = new Set();
  const series = figures.flatMap((each) => each.series).map(({ name = "", ...each }) => {
    const isNew = !names.has(name);
    names.add(name);
    return { ...each, name: isNew ? name : "" };
  });
  return { ...figures[0], x: wide("x"), y: wide("y"), series };
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

/** Return a list of the names of colours, and a function that shows entries in it. */
export function newLegend() {
  const list = element("ul.legend", { hidden: true });
  /** @param {LegendEntry[]} entries */
  const show = (entries) => {
    list.hidden = !entries.length;
    replaceChildren(
      list,
      entries.map(([color, name, shape = "dot"]) => {
        const mark = element("i", { class: shape in STROKES ? "pattern" : shape, "aria-hidden": "true" });
        mark.style.background = shape in STROKES ? fillOf(color, shape) : color;
        return element("li", mark, name);
      }),
    );
  };
  return { element: list, show };
}
