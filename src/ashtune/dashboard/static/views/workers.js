// Each worker's lane of the timeline as it grows, and what share of their time the workers trained.

import { STATES } from "../looks.js";
import { namedAxis, shareAxis, timeAxis } from "../page/axis.js";
import { openTrial } from "../page/dom.js";
import { Figure } from "../page/figure.js";
import { Section } from "../page/section.js";
import { isNumber, plural, secondsText, shareText, shortened } from "../page/text.js";
import { rungColor } from "../page/theme.js";
import { rungLegend } from "./rungs.js";

/** What the numbers of `Spans.kind` mean. */
const KINDS = ["training", "saving", "compiling"];

export function workers(study) {
  const section = new Section(
    "workers",
    "Are my workers busy?",
    "What each worker does, the latest at the right. A colour is a rung, a pattern what is no training that counts.",
    "Workers",
  );
  const lanes = new Figure("Lanes");
  const share = new Figure("Share of the workers that train");
  const time = new Figure("Where their time went");
  section.body.append(lanes.element, time.element, share.element);
  section.drawWhenSeen(study, ["workers", "ladder", "head"], ({ workers: part, ladder, head }) => {
    drawLanes(lanes, part, ladder.rungs, head.unit);
    describeLanes(lanes, part);
    drawShares(time, part.shares);
    drawUtilisation(share, part.utilisation);
  });
  return section;
}

/** @param {Figure} figure @param {WorkersPart} part @param {Rung[]} rungs */
function drawLanes(figure, { spans, lanes, window: [from, to] }, rungs, unit) {
  const step = lanes.length <= 12 ? 26 : lanes.length <= 32 ? 16 : 10;
  const thick = step - (step > 12 ? 6 : 2);
  const names = lanes.map(({ worker, is_there: isThere }) => (isThere ? `worker ${worker}` : `(worker ${worker})`));
  const stateOf = (at) => (spans.kind[at] === 0 && spans.ending[at] === "failed" ? "failed" : KINDS[spans.kind[at]]);
  const title = (at) => {
    const resource = rungs[spans.rung[at] ?? -1]?.resource;
    return isNumber(spans.trial[at]) && `trial ${spans.trial[at]} to ${plural(resource, unit)}`;
  };
  figure.draw(
    [
      {
        kind: "bars",
        x: lanes.map(() => from),
        end: lanes.map(() => to),
        y: [...lanes.keys()],
        thick,
        color: "--raised",
      },
      {
        kind: "bars",
        x: spans.begin,
        end: spans.end,
        y: spans.lane,
        thick,
        color: (at) => (spans.kind[at] ? STATES[KINDS[spans.kind[at]]].color : rungColor(spans.rung[at], rungs.length)),
        pattern: (at) => STATES[stateOf(at)].pattern,
        tip: (at) => [
          title(at),
          `${KINDS[spans.kind[at]]}, ${secondsText(spans.end[at] - spans.begin[at])}`,
          spans.ending[at],
        ],
        pick: (at) => openTrial(spans.trial[at]),
      },
    ],
    timeAxis(to, "since the study began", from),
    { ...namedAxis("", names), low: lanes.length - 0.5, high: -0.5 },
    52 + step * Math.max(1, lanes.length),
  );
  const states = new Set(spans.kind.map((_, at) => stateOf(at)));
  figure.legend([
    ...rungLegend(rungs, unit),
    ...["failed", "saving", "compiling"].filter((state) => states.has(state)).map(legendOf),
  ]);
}

/** @returns {LegendEntry} */
function legendOf(state) {
  const { color, name, pattern } = STATES[state];
  return [color, name, pattern || "dot"];
}

function describeLanes(figure, { lanes, spans, left_out: leftOut }) {
  const there = lanes.filter((lane) => lane.is_there).length;
  const hosts = new Set(lanes.map((lane) => lane.host).filter(Boolean));
  const parts = [
    plural(there, "worker"),
    hosts.size > 1 ? `on ${plural(hosts.size, "host")}` : shortened([...hosts][0] ?? "", 40),
    leftOut ? `${plural(leftOut, "lane")} left out` : "",
  ];
  figure.caption(parts.filter(Boolean).join(" · "));
  figure.describe(
    `The lanes of ${plural(lanes.length, "worker")}, with the latest ${plural(spans.lane.length, "job")}.`,
  );
  figure.data(() => [
    ["worker", "work", "trial", "rung", "from", "to", "ending"],
    spans.lane.map((lane, at) => [
      String(lanes[lane]?.worker ?? ""),
      KINDS[spans.kind[at]],
      String(spans.trial[at] ?? ""),
      String(spans.rung[at] ?? ""),
      secondsText(spans.begin[at]),
      secondsText(spans.end[at]),
      spans.ending[at],
    ]),
  ]);
}

/** @param {Figure} figure @param {WorkersPart["shares"]} shares */
function drawShares(figure, shares) {
  const states = Object.keys(STATES).filter((state) => Number(shares[state]) > 0);
  const named = states.map((state) => [STATES[state].name, shareText(shares[state])]);
  let sum = 0;
  const end = states.map((state) => (sum += Number(shares[state])));
  figure.draw(
    [
      {
        kind: "bars",
        x: end.map((_, at) => end[at - 1] ?? 0),
        end,
        y: states.map(() => 0),
        thick: 16,
        color: (at) => STATES[states[at]].color,
        pattern: (at) => STATES[states[at]].pattern,
        tip: (at) => named[at],
      },
    ],
    shareAxis(),
    namedAxis("", [""]),
    64,
  );
  figure.legend(
    states.map((state, at) => {
      const [color, , shape] = legendOf(state);
      return [color, named[at].join(" "), shape];
    }),
  );
  figure.describe(`Where the workers' time went: ${named.map((pair) => pair.join(" ")).join(", ")}.`);
  figure.data(() => [["what", "share"], named]);
}

function drawUtilisation(figure, { time, share }) {
  const last = share.findLast(isNumber);
  figure.draw(
    [
      {
        kind: "area",
        color: STATES.training.color,
        width: 1,
        x: time,
        y: share,
        tip: (at) => [shareText(share[at]), `at ${secondsText(time[at])}`],
      },
    ],
    timeAxis(time.at(-1) ?? 1, "since the study began", time[0] ?? 0),
    shareAxis(),
    180,
  );
  figure.describe(`The share of the workers that train, over time: ${shareText(last)} at last.`);
  figure.data(() => [["time", "share"], time.map((at, place) => [secondsText(at), shareText(share[place])])]);
}
