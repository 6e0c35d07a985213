// The audit of the halving: every promotion checked against the scheduler's rule.

import { element, replaceChildren, table } from "../page/dom.js";
import { newSection } from "../page/section.js";
import { countText, isNumber, numberText } from "../page/text.js";

const COLUMNS = [
  ["resource", ""],
  ["expected", "expected"],
  ["arrived", "arrived"],
  ["failed", "failed"],
  ["quota", "may continue"],
  ["promoted", "continued"],
  ["unexplained", "outside quota"],
  ["wrong", "proved wrong"],
  ["law", "by the law"],
  ["missed", "missed"],
  ["correlation", "rank correlation"],
];

export function audit(study) {
  const section = newSection(
    study,
    "audit",
    "Were the promotions right?",
    "Each promotion, compared with the rule of the scheduler and with what is known now.",
    "Audit",
  );
  const [words, place] = [element("div"), element("div")];
  section.body.append(words, place);
  section.askWhenSeen(
    () => ["audit"],
    (/** @type {Answers["audit"]} */ { text, rungs, notes }) => {
      const paragraph = (sentence) => element("p", { class: sentence.startsWith("FAULT") && "bad" }, sentence);
      replaceChildren(words, [...text, ...notes].map(paragraph));
      const columns = COLUMNS.filter(([name]) => rungs.some((rung) => textOf(name, rung[name])));
      const titles = columns.map(([name, title]) => (name === "resource" ? `to ${study.unit}` : title));
      const rows = rungs.map((rung) => columns.map(([name]) => textOf(name, rung[name])));
      replaceChildren(place, rows.length > 0 && table("Audit by rung", titles, rows));
    },
  );
  return section;
}

function textOf(name, value) {
  if (name === "expected") return value ?? "";
  if (!isNumber(value)) return "";
  return name === "law" || name === "correlation" ? numberText(value, 3) : countText(value);
}
