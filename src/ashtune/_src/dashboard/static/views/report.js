// The other sections of the report: sentences, tables and figures of ashtune and of installed packages.

import { element, replaceChildren, table } from "../page/dom.js";
import { Figure } from "../page/figure.js";
import { Section } from "../page/section.js";
import { capital } from "../page/text.js";

export function report(study) {
  const section = new Section("report", "More of this study", "", "More");
  const sections = new Sections("h3");
  section.body.append(sections.element);
  section.askWhenSeen(
    study,
    () => ["report", []],
    (/** @type {Answers["report"]} */ answer) => sections.show(answer.sections),
  );
  return section;
}

/** Sections of blocks. @param heading The element of their headings: "h2" or "h3". */
export class Sections {
  constructor(heading) {
    this.element = element("div.sections");
    this._heading = heading;
    /** @type {Figure[]} */
    this._figures = [];
    this._shown = "";
  }

  /** @param {ReportSection[]} sections */
  show(sections) {
    const shown = JSON.stringify(sections);
    if (shown === this._shown) return;
    this._shown = shown;
    for (const figure of this._figures.splice(0)) figure.destroy();
    replaceChildren(
      this.element,
      sections.map(({ title, blocks }) =>
        element(
          "section.part",
          element(this._heading, title),
          blocks.map((block, place) => this._block(block, place ? `${title}, part ${place + 1}` : title)),
        ),
      ),
    );
  }

  /** @param {Block} block @param {string} label The name of its table for screen readers. */
  _block({ texts = [], is_bad: isBad, columns = [], rows = [], bold = [], figures = {} }, label) {
    const cell = (text, place) => (bold.includes(place) ? element("td.bold", text) : text);
    const cells = rows.map((row, place) => row.map((text) => cell(text, place)));
    return element(
      "div",
      texts.map((text) => element("p", { class: isBad && "bad" }, text)),
      cells.length > 0 && table(label, columns, cells, { class: !columns.length && "facts" }),
      Object.entries(figures).map(([name, value]) => {
        const figure = new Figure("", capital(name));
        this._figures.push(figure);
        figure.show(value);
        return figure.element;
      }),
    );
  }
}
