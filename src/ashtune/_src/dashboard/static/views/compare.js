// Several studies together: the best result so far of each, over time and over total resource.

import { element, replaceChildren, table } from "../page/dom.js";
import { Figure } from "../page/figure.js";
import { Section } from "../page/section.js";
import { countText, numberText, secondsText, shareText, shortened } from "../page/text.js";
import { ask } from "../study/ask.js";
import { namesOf } from "../study/names.js";

const MOST = 6;

/** @param {Summary[]} others All studies of this command. */
export function compare(study, others) {
  const section = new Section(
    "compare",
    "Studies compared",
    "The best so far of each study that this command watches.",
    "Compare",
  );
  section.isEmpty = () => false;
  const figures = ["Over time", "Over what was trained"].map((title) => new Figure(title, `Studies compared: ${title}`));
  const place = element("div");
  section.body.append(element("div.pair", ...figures.map((each) => each.element)), place);
  const ids = others.slice(0, MOST).map((each) => each.id);
  const asker = {
    get position() {
      return study.position === null ? null : performance.now(); // another study may change while this one does not
    },
    ask: () => ask("api/compare", [["studies", ids.join(",")]]),
  };
  section.askWhenSeen(
    asker,
    () => ["compare", []],
    (/** @type {Comparison} */ { over_time: overTime, over_resource: overResource, table: rows }) => {
      const names = namesOf(rows);
      const named = (each, number) => ({ ...each, name: shortened(names.get(rows[number].id), 40) });
      [overTime, overResource].forEach((each, at) => figures[at].show({ ...each, series: each.series.map(named) }));
      replaceChildren(place, studiesTable(rows, names, study));
    },
  );
  return section;
}

function studiesTable(rows, names, { unit, objective }) {
  return table(
    "Studies",
    ["study", `best ${objective.metric}`, "trials", `${unit}s`, "time", "busy"],
    rows.map((row) => [
      element("a", { href: `?study=${encodeURIComponent(row.id)}`, "data-key": `study ${row.id}` }, shortened(names.get(row.id), 60)),
      numberText(row.best),
      countText(row.tried),
      countText(row.epochs),
      secondsText(row.wall_seconds),
      shareText(row.utilisation),
    ]),
  );
}
