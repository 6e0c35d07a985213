// The frame of a figure: its title, its legend, the place to draw in, and its data as a table for who cannot see it.

import { element, replaceChildren, setText, table } from "./dom.js";
import { countText } from "./text.js";

const ROWS = 200;

export class Figure {
  /** @param title Above the figure; it may be empty. */
  constructor(title = "") {
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

  /** Say in words what the figure shows, for screen readers. */
  describe(words) {
    if (this.plot.getAttribute("aria-label") !== words) this.plot.setAttribute("aria-label", words);
  }

  /** Set the remark beside the title. */
  caption(text) {
    setText(this._caption, text);
  }

  /** Set the legend; see `Legend.show`. */
  legend(entries) {
    this._legend.show(entries);
  }

  /** Say what the table holds. @param rows Returns `[columns, rows]`; called while the table is open. */
  data(rows) {
    this._rows = rows;
    this._fill();
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

  /** @param entries Triples of a colour, a name, and perhaps a shape: "line", "pale", "ghost" or "stripes". */
  show(entries) {
    const shown = JSON.stringify(entries);
    if (shown === this._shown) return;
    this._shown = shown;
    this.element.hidden = !entries.length;
    replaceChildren(
      this.element,
      entries.map(([color, name, shape = "dot"]) => {
        const mark = element("i", { class: shape, "aria-hidden": "true" });
        mark.style.setProperty("--color", color);
        return element("li", {}, mark, name);
      }),
    );
  }
}

/** A small text that follows the pointer over a figure. */
export class Tip {
  constructor(place) {
    this._place = place;
    this._box = element("div", { class: "tip", hidden: true, "aria-hidden": "true" });
    place.append(this._box);
  }

  /** Show lines at a point of the place, in pixels. */
  show(x, y, lines) {
    replaceChildren(
      this._box,
      lines.filter(Boolean).map((line, number) => element(number ? "span" : "b", { text: line })),
    );
    this._box.hidden = false;
    const { width, height } = this._box.getBoundingClientRect();
    const left = Math.min(Math.max(0, x + 14), Math.max(0, this._place.clientWidth - width - 2));
    const top = y - height - 10 < 0 ? y + 16 : y - height - 10;
    this._box.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  hide() {
    this._box.hidden = true;
  }
}
