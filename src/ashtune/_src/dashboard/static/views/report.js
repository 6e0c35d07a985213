// The other sections of the report: sentences, tables and figures of ashtune and of installed packages.

import { element, replaceChildren, table } from "../page/dom.js";
import { newFigure } from "../page/figure.js";
import { newSection } from "../page/section.js";
import { capital } from "../page/text.js";

export function report(study) {
  const section = newSection(study, "report", "More of this study", "", "More");
  const sections = newSections("h3");
  section.body.append(sections.element);
  section.askWhenSeen(
    () => ["report"],
    (/** @type {Answers["report"]} */ answer) => sections.show(answer.sections),
  );
  return section;
}

/** Return an element, and a function that shows sections of blocks in it. @param {"h2" | "h3"} heading */
export function newSections(heading) {
  const place = element("div.sections");
  let shown = "";
  return {
    element: place,
    /** @param {ReportSection[]} sections */
    show(sections) {
      const now = JSON.stringify(sections);
      if (now === shown) return;
      shown = now;
      const all = sections.map(({ title, blocks }) => {
        const drawn = blocks.map((each, number) => block(each, number ? `${title}, part ${number + 1}` : title));
        return element("section.part", element(heading, title), drawn);
      });
      replaceChildren(place, all);
    },
  };
}

/** @param {Block} block @param {string} label The name of its table for screen readers. */
function block({ texts = [], is_bad: isBad, columns = [], rows = [], bold = [], figures = {} }, label) {
  const cell = (text, number) => (bold.includes(number) ? element("td.bold", text) : text);
  const cells = rows.map((row, number) => row.map((text) => cell(text, number)));
  return element(
    "div",
    texts.map((text) => element("p", { class: isBad && "bad" }, text)),
    cells.length > 0 && table(label, columns, cells, { class: !columns.length && "facts" }),
    Object.entries(figures).map(([name, value]) => {
      const figure = newFigure("", capital(name));
      figure.show(value);
      return figure.element;
    }),
  );
}
