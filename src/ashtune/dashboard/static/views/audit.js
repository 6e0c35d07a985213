// Whether the halving did right: every promotion checked against the scheduler's rule.

import { element, replaceChildren, table } from "../page/dom.js";
import { Section } from "../page/section.js";
import { countText, isNumber, numberText } from "../page/text.js";

const COLUMNS = [
  ["resource", ""],
  ["expected", "expected"],
  ["arrived", "arrived"],
  ["failed", "failed"],
  ["quota", "may go on"],
  ["promoted", "went on"],
  ["unexplained", "outside quota"],
  ["wrong", "proved wrong"],
  ["law", "by the law"],
  ["missed", "missed"],
  ["correlation", "rank correlation"],
];

export function audit(study) {
  const section = new Section(
    "audit",
    "Did the halving do right?",
    "Every promotion against the rule of the scheduler, and against what is known by now.",
    "Audit",
  );
  const [words, place] = [element("div"), element("div")];
  section.body.append(words, place);
  section.askWhenSeen(
    study,
    () => (study.parts.head?.best ? ["audit", []] : null),
    ({ text, rungs, notes }) => {
      replaceChildren(
        words,
        [...text, ...(notes ?? [])].map((sentence) =>
          element("p", { class: sentence.startsWith("FAULT") && "bad", text: sentence }),
        ),
      );
      const columns = COLUMNS.filter(([name]) => rungs.some((rung) => shown(name, rung[name])));
      const head = columns.map(([name, title]) => ({ title: name === "resource" ? `to ${study.unit}` : title }));
      replaceChildren(
        place,
        rungs.length
          ? table(
              "Audit by rung",
              head,
              rungs.map((rung) => columns.map(([name]) => shown(name, rung[name]))),
            )
          : null,
      );
    },
  );
  return section;
}

function shown(name, value) {
  if (name === "expected") return value ?? "";
  if (!isNumber(value)) return "";
  return name === "law" || name === "correlation" ? numberText(value, 3) : countText(value);
}
