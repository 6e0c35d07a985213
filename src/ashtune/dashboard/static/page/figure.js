// The frame of a figure: its title, its legend, the place to draw in, and its data as a table for who cannot see it.

import { element, replaceChildren, set, setText, table } from "./dom.js";
import { Plot } from "./plot.js";
import { fillOf, STROKES } from "./theme.js";
import { countText } from "./text.js";

const ROWS = 200;

export class Figure {
  /** @param title Above the figure; it may be empty. */
  constructor(title = "") {
    /** @type {Plot | null} */
    this._drawn = null;
    this.plot = element("div", { class: "plot", role: "img" });
    this._title = title;
    this._caption = element("span", { class: "caption quiet" });
    this._legend = new Legend();
    this._table = element("div");
    this._details = element("details", { class: "data" }, element("summary", { text: "As a table" }), this._table);
    this._details.addEventListener("toggle", () => this._fill());
    this._rows = null;
    this.element = element(
      "figure",
      {},
      element("figcaption", {}, element("span", { class: "title", text: title }), this._caption),
      this._legend.element,
      this.plot,
      this._details,
    );
  }

  /** Draw series over two axes, and name in the legend those that have a label; see `Plot.draw`. */
  draw(series, x, y, height = 290) {
    this._drawn ??= new Plot(this.plot);
    this._drawn.draw(series, x, y, height);
    const named = series.filter(({ label }) => label);
    this.legend(named.map(({ color, label, kind }) => [color, label, kind === "points" ? "dot" : "line"]));
  }

  /** Say in words what the figure shows, for screen readers. */
  describe(words) {
    set(this.plot, { "aria-label": words });
  }

  /** Set the remark beside the title. */
  caption(text) {
    setText(this._caption, text);
  }

  /** Set the legend; see `Legend.show`. @param {LegendEntry[]} entries */
  legend(entries) {
    this._legend.show(entries);
  }

  /** Say what the table holds. @param rows Returns the titles of its columns, and its rows; called while it is open. */
  data(rows) {
    this._rows = rows;
    this._fill();
  }

  /** End it, when it is removed. */
  destroy() {
    this._drawn?.destroy();
  }

  _fill() {
    if (!this._details.open || this._rows === null) return;
    const [columns, rows] = this._rows();
    const more =
      rows.length > ROWS &&
      element("p", { class: "quiet", text: `the last ${ROWS} of ${countText(rows.length)} rows` });
    replaceChildren(this._table, more, table(`Data ${this._title}`, columns, rows.slice(-ROWS)));
  }
}

/** Names of colours. */
export class Legend {
  constructor() {
    this.element = element("ul", { class: "legend", hidden: true });
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
        return element("li", {}, mark, name);
      }),
    );
  }
}
