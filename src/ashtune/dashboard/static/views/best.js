// The best value so far, over time and over what was trained, with the results that it comes from.

import { Chart, metricAxis, timeAxis } from "../page/chart.js";
import { element, openTrial } from "../page/dom.js";
import { Figure } from "../page/figure.js";
import { metricRange } from "../page/range.js";
import { Section } from "../page/section.js";
import { rungColor } from "../page/theme.js";
import { countText, isNumber, numberText, secondsText } from "../page/text.js";
import { rungLegend } from "./rungs.js";

/** The best results crowd at one end of the axis: this share of all may be left out to tell them apart. */
const WORST = 0.5;
const ANY = ["--accent", "best at any rung", "line"];
const HIGHEST = ["#d4505f", "best at the highest rung", "line"];

export function best(study) {
  const section = new Section(
    "best",
    "Is it getting better?",
    "The best result so far. Each point is a result, in the colour of its rung.",
    "Best so far",
  );
  const [overTime, overResource] = [new Figure("Over time"), new Figure("Over what was trained")];
  const charts = [new Chart(overTime.plot), new Chart(overResource.plot)];
  section.body.append(element("div", { class: "pair" }, overTime.element, overResource.element));
  section.drawWhenSeen(study, ["best", "head", "ladder"], (parts) =>
    drawBest(parts, parts.head.objectives[0], [overTime, overResource], charts),
  );
  return section;
}

function drawBest({ best: part, head, ladder }, { metric, mode }, figures, [overTime, overResource]) {
  const rungs = ladder.rungs.length;
  const values = part.over_time.values[metric] ?? [];
  const range = metricRange([...values, ...part.results.value], mode, WORST);
  const y = metricAxis(range, metric);
  const [now, trained] = [Math.max(head.now ?? 0, 0.01), Math.max(head.epochs ?? 0, 1)];
  const resource = (at) => `${countText(at)} ${head.unit}s trained`;
  const steps = (name, at, text, end, [color, label]) =>
    upTo(
      {
        kind: "step",
        color,
        width: 2.5,
        x: part[name][at],
        y: part[name].values[metric] ?? [],
        ...toTrial(part[name], metric, at, text, label),
      },
      end,
    );
  overTime.draw(
    [
      ...byRung(part.results, rungs, metric),
      steps("over_time_at_highest", "time", secondsText, now, HIGHEST),
      steps("over_time", "time", secondsText, now, ANY),
    ],
    timeAxis(now, "since the study began"),
    y,
  );
  const first = Math.max(1, part.over_resource.resource[0] ?? 1);
  overResource.draw(
    [
      steps("over_resource_at_highest", "resource", resource, trained, HIGHEST),
      steps("over_resource", "resource", resource, trained, ANY),
    ],
    {
      isLog: true,
      low: first,
      high: Math.max(trained, 1.1 * first),
      label: `${head.unit}s trained, all trials together`,
    },
    metricAxis(metricRange(latest(values, part.over_resource_at_highest.values[metric] ?? []), mode), metric),
  );
  for (const figure of figures)
    figure.describe(
      `Best ${metric}: ${numberText(values.find(isNumber))} at first, ${numberText(values.findLast(isNumber))} now.`,
    );
  figures[0].caption(range.beyond ? `${countText(range.beyond)} worse results are outside of the view` : "");
  figures[0].legend(rungLegend(ladder.rungs, head.unit));
  figures[1].legend([["var(--accent)", ...ANY.slice(1)], HIGHEST]);
  figures[0].data(() => stepsTable(part.over_time, "time", metric, secondsText));
  figures[1].data(() => stepsTable(part.over_resource, "resource", metric, countText));
}

/** Return the values of the later steps: the first ones are far from the best, and would press all others flat. */
function latest(values, highest) {
  return [...values.slice(Math.floor(values.length / 3)), ...highest];
}

/** Let a line of steps go on to `end` at its last value. */
function upTo(series, end) {
  const at = series.x.at(-1);
  return at === undefined || at >= end
    ? series
    : { ...series, x: [...series.x, end], y: [...series.y, series.y.at(-1)] };
}

function toTrial(of, metric, at, text, label) {
  const place = (point) => Math.min(point, of.trial.length - 1);
  return {
    tip: (point) => [
      `${metric} ${numberText(of.values[metric][place(point)])}`,
      `${label}: trial ${of.trial[place(point)]}`,
      text(of[at][place(point)]),
    ],
    pick: (point) => openTrial(of.trial[place(point)]),
  };
}

/** Return a series of points for each rung. */
function byRung(results, rungs, metric) {
  const series = Array.from({ length: rungs }, (_, rung) => ({
    kind: "points",
    color: rungColor(rung, rungs),
    size: 5,
    alpha: 0.65,
    x: [],
    y: [],
    trial: [],
  }));
  results.value.forEach((value, at) => {
    const of = series[results.rung[at]];
    if (!of) return;
    of.x.push(results.time[at]);
    of.y.push(value);
    of.trial.push(results.trial[at]);
  });
  for (const [rung, of] of series.entries()) {
    of.tip = (at) => [
      `${metric} ${numberText(of.y[at])}`,
      `trial ${of.trial[at]} at rung ${rung}`,
      secondsText(of.x[at]),
    ];
    of.pick = (at) => openTrial(of.trial[at]);
  }
  return series;
}

function stepsTable(of, at, metric, text) {
  const rows = of[at].map((each, place) => [
    text(each),
    numberText(of.values[metric]?.[place]),
    String(of.trial[place] ?? ""),
    String(of.rung[place] ?? ""),
  ]);
  return [[{ title: at }, { title: metric }, { title: "trial" }, { title: "rung" }], rows];
}
