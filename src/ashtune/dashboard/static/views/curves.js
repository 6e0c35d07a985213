// Learning curves: the best trials, a sample of the others, and those that the reader chooses.

import { lineOf } from "../study/ask.js";
import { Chart, metricAxis, resourceAxis } from "../page/chart.js";
import { element, openTrial, replaceChildren } from "../page/dom.js";
import { Figure } from "../page/figure.js";
import { metricRange } from "../page/range.js";
import { Section } from "../page/section.js";
import { CATEGORIES } from "../page/theme.js";
import { countText, isNumber, numberText, plural } from "../page/text.js";

const MOST = 4;

export function curves(study) {
  const section = new Section(
    "curves",
    "Learning curves",
    "The best trials, a sample of the others, and trials of your choice.",
  );
  const figure = new Figure();
  const chart = new Chart(figure.plot, 320);
  const chosen = new Map();
  const list = element("ul", { class: "chips" });
  const input = element("input", {
    type: "number",
    min: 0,
    step: 1,
    id: "curve-trial",
    inputmode: "numeric",
    required: true,
  });
  const form = element(
    "form",
    { class: "choice" },
    element("label", { for: "curve-trial", text: "trial " }),
    input,
    element("button", { text: "Add its curve" }),
  );
  section.body.append(figure.element, form, list);

  const again = section.drawWhenSeen(study, ["curves", "head", "ladder"], ({ curves: part, head, ladder }) => {
    const resources = ladder.rungs.map((rung) => rung.resource);
    const extra = [...chosen.values()];
    const range = metricRange(
      [...part.curves, ...extra].flatMap((curve) => curve.value),
      head.objectives[0].mode,
    );
    const first = part.curves.findLast((curve) => curve.kind === "best"); // they are sorted, the best last
    const shown = [
      ...part.curves.filter((curve) => curve.kind !== "best").map((curve) => series(curve, "--quiet", 1, 0.55)),
      ...part.curves
        .filter((curve) => curve.kind === "best" && curve !== first)
        .map((curve) => series(curve, "--accent", 1.3, 0.6)),
      ...(first ? [series(first, "--accent", 3, 1)] : []),
      ...extra.map((curve, number) => series(curve, CATEGORIES[number + 1], 2.5, 1)),
    ];
    chart.draw(shown, resourceAxis(resources, head.unit, [...part.curves, ...extra]), metricAxis(range, part.metric));
    figure.legend([
      ...(first ? [["var(--accent)", `the best: trial ${first.trial}`, "line"]] : []),
      ["color-mix(in srgb, var(--accent) 60%, transparent)", "others of the best", "line"],
      ["var(--quiet)", "a sample", "line"],
      ...extra.map((curve, number) => [CATEGORIES[number + 1], `trial ${curve.trial}`, "line"]),
    ]);
    figure.caption(range.beyond ? `${plural(range.beyond, "value")} outside of the view` : "");
    const end = first ? `; the best, trial ${first.trial}, ends at ${numberText(first.value.findLast(isNumber))}` : "";
    figure.describe(`Learning curves of ${plural(part.curves.length, "trial")}${end}.`);
    figure.data(() => curvesTable([...extra, ...part.curves], part.metric, head.unit));
  });

  const choose = (trial, curve) => {
    if (curve === null) chosen.delete(trial);
    else chosen.set(trial, curve);
    replaceChildren(
      list,
      [...chosen.keys()].map((each) =>
        element(
          "li",
          {},
          `trial ${each} `,
          element("button", {
            class: "plain",
            "aria-label": `Remove the curve of trial ${each}`,
            "data-key": `curve ${each}`,
            text: "×",
            onclick: () => choose(each, null),
          }),
        ),
      ),
    );
    again();
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const trial = Number(input.value);
    try {
      const answer = await study.ask(`trials/${trial}`);
      const curve = answer.curve[study.objective.metric] ?? { resource: [], value: [] };
      if (!curve.resource.length) section.say(`trial ${trial} has reported nothing yet`);
      else {
        section.say("");
        if (chosen.size >= MOST) chosen.delete(chosen.keys().next().value);
        choose(trial, { trial, ...curve });
        if (Number(input.value) === trial) input.value = ""; // unless another one is typed by now
      }
    } catch (problem) {
      section.say(lineOf(problem));
    }
  });
  return section;
}

function series(curve, color, width, alpha) {
  return {
    kind: "line",
    color,
    width,
    alpha,
    x: curve.resource,
    y: curve.value,
    tip: (at) => [`trial ${curve.trial}`, `${numberText(curve.value[at])} at ${countText(curve.resource[at])}`],
    pick: () => openTrial(curve.trial),
  };
}

function curvesTable(shown, metric, unit) {
  const rows = shown.map((curve) => {
    const last = curve.value.findLastIndex(isNumber);
    return [
      `trial ${curve.trial}`,
      curve.kind ?? "chosen",
      numberText(curve.value.find(isNumber)),
      numberText(curve.value[last]),
      countText(curve.resource[last]),
    ];
  });
  return [["trial", "kind", `first ${metric}`, `last ${metric}`, `at ${unit}`].map((title) => ({ title })), rows];
}
