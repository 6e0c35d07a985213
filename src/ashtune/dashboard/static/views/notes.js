// Why the scheduler and the search chose what they chose.

import { element, replaceChildren, setText, table } from "../page/dom.js";
import { Section } from "../page/section.js";
import { capital, countText, isNumber, secondsText, shareText } from "../page/text.js";

export function notes(study) {
  const section = new Section(
    "notes",
    "Why these trials?",
    "What the scheduler and the search say of their choices, and the latest of them.",
    "Notes",
  );
  const [scheduler, search] = [element("p"), element("p")];
  const sources = element("div");
  const feed = element("ol", { class: "history", tabindex: 0, "aria-label": "The latest choices" });
  section.body.append(
    element(
      "div",
      { class: "pair" },
      element("div", {}, scheduler, search, sources),
      element("div", {}, element("h3", { text: "The latest choices" }), feed),
    ),
  );
  section.drawWhenSeen(study, ["notes"], ({ notes: part }) => {
    setText(scheduler, part.scheduler ? `Scheduler: ${part.scheduler}` : "");
    setText(search, part.search ? `Search: ${part.search}` : "");
    const rows = Object.entries(part.sources).filter(([, count]) => count > 0);
    const columns = [{ title: "proposed by", text: true }, { title: "trials" }, { title: "went on" }];
    const went = (name) => (isNumber(part.promoted_share[name]) ? shareText(part.promoted_share[name]) : "");
    replaceChildren(
      sources,
      rows.length
        ? table(
            "Where configurations come from",
            columns,
            rows.map(([name, count]) => [capital(name), countText(count), went(name)]),
          )
        : null,
    );
    replaceChildren(
      feed,
      [...part.why]
        .reverse()
        .map(({ time, text }) =>
          element("li", {}, element("span", { class: "quiet", text: secondsText(time) }), ` ${text}`),
        ),
    );
  });
  return section;
}
