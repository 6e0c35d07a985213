// The reasons for the choices of the scheduler and the search.

import { element, replaceChildren, setText, table } from "../page/dom.js";
import { newSection } from "../page/section.js";
import { capital, countText, secondsText } from "../page/text.js";

export function notes(study) {
  const section = newSection(
    study,
    "notes",
    "Why these trials?",
    "How the scheduler and the search explain their choices, and the latest choices.",
    "Notes",
  );
  const [scheduler, search, sources, feed] = [element("p"), element("p"), element("div"), element("div")];
  section.body.append(
    element(
      "div.pair",
      element("div", scheduler, search, sources),
      element("div", element("h3", "The latest choices"), feed),
    ),
  );
  section.drawWhenSeen(["notes"], ({ notes: part }) => {
    setText(scheduler, part.scheduler && `Scheduler: ${part.scheduler}`);
    setText(search, part.search && `Search: ${part.search}`);
    const rows = Object.entries(part.sources)
      .filter(([, count]) => count > 0)
      .map(([name, count]) => [capital(name), countText(count)]);
    replaceChildren(sources, rows.length > 0 && table("Where configurations come from", ["by", "trials"], rows));
    replaceChildren(feed, historyList("The latest choices", [...part.why].reverse()));
  });
  return section;
}

/** Return a scrolling list of events with their times. @param {{ time: number, text: string }[]} steps */
export function historyList(label, steps) {
  return element(
    "ol.history",
    { tabindex: 0, "aria-label": label, "data-key": `history ${label}` },
    steps.map(({ time, text }) =>
      element("li", element("span.quiet", secondsText(time)), ` ${text}`),
    ),
  );
}
