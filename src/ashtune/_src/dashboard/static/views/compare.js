// Several studies together: the best result so far of each, over time and over total resource.

import { element, replaceChildren, studyLink, table } from "../page/dom.js";
import { newFigure } from "../page/figure.js";
import { newSection } from "../page/section.js";
import { countText, joined, plural, secondsText, shareText, shortened } from "../page/text.js";
import { ask } from "../study/ask.js";
import { namesOf } from "../study/names.js";

const MOST = 6;

/** @param {Summary[]} others All studies of this command. */
export function compare(study, others) {
  const section = newSection(
    study,
    "compare",
    "Studies compared",
    "The best so far of each study that this command watches.",
    "Compare",
  );
  section.isEmpty = () => false;
  const figures = ["Over time", "Over what was trained"].map((title) => newFigure(title, `Studies compared: ${title}`));
  const place = element("div");
  section.body.append(element("div.pair", ...figures.map((each) => each.element)), place);
  const ids = others.slice(0, MOST).map((each) => each.id);
  // Another study may change while this one does not: position 0 lets the question be asked again.
  const compared = async () => ({ ...(await ask("api/compare", [["studies", ids.join(",")]])), position: 0 });
  section.askWhenSeen(
    () => ["compare"],
    (/** @type {Comparison} */ { over_time: overTime, over_resource: overResource, table: rows }) => {
      const names = namesOf(rows);
      const named = (each, number) => ({ ...each, name: joined(shortened(names.get(rows[number].id), 40), each.name) });
      [overTime, overResource].forEach((each, at) => figures[at].show({ ...each, series: each.series.map(named) }));
      replaceChildren(place, studiesTable(rows, names));
    },
    { ask: compared },
  );
  return section;
}

function studiesTable(rows, names) {
  return table(
    "Studies",
    ["study", "goal", "result", "trials", "trained", "time", "busy"],
    rows.map((row) => [
      studyLink(row.id, names.get(row.id)),
      row.goal,
      row.result,
      countText(row.tried),
      plural(row.epochs, row.unit),
      secondsText(row.wall_seconds),
      shareText(row.utilisation),
    ]),
  );
}
