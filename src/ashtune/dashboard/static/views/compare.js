// Several studies side by side: the best so far of each, over time and over what was trained.

import { Chart, metricAxis, timeAxis } from "../page/chart.js";
import { element, replaceChildren, table } from "../page/dom.js";
import { Figure } from "../page/figure.js";
import { metricRange } from "../page/range.js";
import { Section } from "../page/section.js";
import { CATEGORIES } from "../page/theme.js";
import { ask } from "../study/ask.js";
import { namesOf } from "../study/names.js";
import { countText, numberText, secondsText, shareText, shortened } from "../page/text.js";

const MOST = 6;

/** @param others All studies of this command: `{id, name, state, best, ...}`. */
export function compare(study, others) {
  const section = new Section(
    "compare",
    "Studies compared",
    "The best so far of each study that this command watches.",
    "Compare",
  );
  const [overTime, overResource] = [new Figure("Over time"), new Figure("Over what was trained")];
  const charts = [new Chart(overTime.plot), new Chart(overResource.plot)];
  const place = element("div");
  section.body.append(element("div", { class: "pair" }, overTime.element, overResource.element), place);
  const ids = others
    .slice(0, MOST)
    .map((each) => each.id)
    .join(",");
  const asker = {
    get position() {
      return study.position === null ? null : performance.now(); // another may go on while this one stands still
    },
    ask: () => ask("api/compare", [["studies", ids]]),
  };
  section.askWhenSeen(
    asker,
    () => ["compare", []],
    ({ series, table: rows }) => {
      const names = namesOf(rows);
      const range = metricRange(
        series.flatMap((each) => each.over_time.value),
        study.objective.mode,
      );
      const y = metricAxis(range, study.objective.metric);
      const lines = (of, at, text) =>
        series.map((each, number) => ({
          kind: "step",
          color: CATEGORIES[number],
          width: 2.5,
          x: each[of][at],
          y: each[of].value,
          tip: (point) => [names.get(each.id), numberText(each[of].value[point]), text(each[of][at][point])],
        }));
      const end = (of, at) => Math.max(1e-3, ...series.map((each) => each[of][at].at(-1) ?? 0));
      charts[0].draw(
        lines("over_time", "time", secondsText),
        timeAxis(end("over_time", "time"), "since its study began"),
        y,
      );
      const unit = (count) => `${countText(count)} ${study.unit}s`;
      charts[1].draw(
        lines("over_resource", "resource", unit),
        { low: 0, high: end("over_resource", "resource"), label: `${study.unit}s trained, all trials together` },
        y,
      );
      for (const figure of [overTime, overResource]) {
        figure.legend(series.map((each, number) => [CATEGORIES[number], shortened(names.get(each.id), 40), "line"]));
        figure.describe(
          `The best so far: ${series.map((each) => `${names.get(each.id)} ${bestText(each)}`).join(", ")}.`,
        );
        figure.data(() => [
          [{ title: "study", text: true }, { title: "best" }],
          series.map((each) => [names.get(each.id), bestText(each)]),
        ]);
      }
      replaceChildren(
        place,
        table(
          "Studies",
          ["study", `best ${study.objective.metric}`, "trials", `${study.unit}s`, "time", "busy"].map((title, at) => ({
            title,
            text: !at,
          })),
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
        ),
      );
    },
  );
  return section;
}

function bestText({ over_time: { value } }) {
  return numberText(value.at(-1));
}
