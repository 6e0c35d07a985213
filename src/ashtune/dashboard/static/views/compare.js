// Several studies side by side: the best so far of each, over time and over what was trained.

import { CATEGORIES } from "../looks.js";
import { metricAxis, numberAxis, timeAxis } from "../page/axis.js";
import { element, replaceChildren, table } from "../page/dom.js";
import { Figure } from "../page/figure.js";
import { Section } from "../page/section.js";
import { countText, numberText, secondsText, shareText, shortened } from "../page/text.js";
import { ask } from "../study/ask.js";
import { namesOf } from "../study/names.js";

/** @param {Summary[]} others All studies of this command. */
export function compare(study, others) {
  const section = new Section(
    "compare",
    "Studies compared",
    "The best so far of each study that this command watches.",
    "Compare",
  );
  const figures = [new Figure("Over time"), new Figure("Over what was trained")];
  const place = element("div");
  section.body.append(element("div", { class: "pair" }, ...figures.map((each) => each.element)), place);
  const ids = others.slice(0, CATEGORIES.length).map((each) => each.id);
  const asker = {
    get position() {
      return study.position === null ? null : performance.now(); // another may go on while this one stands still
    },
    ask: () => ask("api/compare", [["studies", ids.join(",")]]),
  };
  section.askWhenSeen(
    asker,
    () => ["compare", []],
    (/** @type {Comparison} */ { series, table: rows }) => {
      const names = namesOf(rows);
      drawLines(figures, series, names, study);
      replaceChildren(place, studiesTable(rows, names, study));
    },
  );
  return section;
}

/** @param {Figure[]} figures @param {Comparison["series"]} series */
function drawLines(figures, series, names, { unit, objective }) {
  const [overTime, overResource] = figures;
  const y = metricAxis(
    series.flatMap((each) => each.over_time.value),
    objective,
  );
  const end = (of, at) => Math.max(1e-3, ...series.map((each) => each[of][at].at(-1) ?? 0));
  const lines = (of, at, text) =>
    series.map((each, number) => ({
      kind: "step",
      color: CATEGORIES[number],
      label: shortened(names.get(each.id), 40),
      width: 2.5,
      x: each[of][at],
      y: each[of].value,
      tip: (point) => [names.get(each.id), numberText(each[of].value[point]), text(each[of][at][point])],
    }));
  overTime.draw(
    lines("over_time", "time", secondsText),
    timeAxis(end("over_time", "time"), "since its study began"),
    y,
  );
  overResource.draw(
    lines("over_resource", "resource", (count) => `${countText(count)} ${unit}s`),
    numberAxis(`${unit}s trained, all trials together`, 0, end("over_resource", "resource")),
    y,
  );
  const best = series.map((each) => [names.get(each.id), numberText(each.over_time.value.at(-1))]);
  for (const figure of figures) {
    figure.describe(`The best so far: ${best.map((pair) => pair.join(" ")).join(", ")}.`);
    figure.data(() => [["study", "best"], best]);
  }
}

function studiesTable(rows, names, { unit, objective }) {
  return table(
    "Studies",
    ["study", `best ${objective.metric}`, "trials", `${unit}s`, "time", "busy"],
    rows.map((row) => [
      element("a", {
        href: `?study=${encodeURIComponent(row.id)}`,
        "data-key": `study ${row.id}`,
        text: shortened(names.get(row.id), 60),
      }),
      numberText(row.best),
      countText(row.tried),
      countText(row.epochs),
      secondsText(row.wall_seconds),
      shareText(row.utilisation),
    ]),
  );
}
