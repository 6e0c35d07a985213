// Each worker's lane of the timeline as it grows, and what share of their time the workers trained.

import { Canvas, roundTicks } from "../page/canvas.js";
import { Chart, timeAxis } from "../page/chart.js";
import { element, openTrial, replaceChildren } from "../page/dom.js";
import { Figure, Legend, Tip } from "../page/figure.js";
import { Section } from "../page/section.js";
import { rungColor, STATES, token } from "../page/theme.js";
import { isNumber, plural, secondsText, shareText, shortened, unitOfTime } from "../page/text.js";
import { rungLegend } from "./rungs.js";

const [TRAINING, SAVING, COMPILING] = [0, 1, 2];
const KINDS = ["training", "saving", "compiling"];
const AXIS = 24;
const LABEL = 84;

export function workers(study) {
  const section = new Section(
    "workers",
    "Are my workers busy?",
    "What each worker does, the latest at the right. A colour is a rung.",
    "Workers",
  );
  const lanes = new Figure("Lanes");
  const share = new Figure("Share of the workers that train");
  const chart = new Chart(share.plot, 150);
  const bar = element("div", { class: "shares" });
  const names = new Legend();
  const timeline = new Timeline(lanes.plot);
  section.body.append(
    lanes.element,
    element(
      "figure",
      { class: "whole" },
      element("figcaption", {}, element("span", { class: "title", text: "Where their time went" })),
      bar,
      names.element,
    ),
    share.element,
  );
  section.drawWhenSeen(study, ["workers", "ladder", "head"], ({ workers: part, ladder, head }) => {
    timeline.draw(part, ladder.rungs, head.unit);
    describeLanes(lanes, part, ladder, head);
    drawShares(bar, names, part.shares);
    drawUtilisation(chart, share, part);
  });
  return section;
}

/** The lanes, on a canvas: a rectangle for each stretch of work. */
class Timeline {
  constructor(place) {
    this._part = null;
    this._canvas = new Canvas(place, (context, width, height) => this._paint(context, width, height));
    this._tip = new Tip(place);
    place.addEventListener("pointermove", (event) => this._point(event));
    place.addEventListener("pointerleave", () => this._tip.hide());
    place.addEventListener("click", (event) => {
      const span = this._at(event);
      if (span !== null) openTrial(this._part.spans.trial[span]);
    });
  }

  draw(part, rungs, unit) {
    this._part = part;
    this._rungs = rungs;
    this._unit = unit;
    const lanes = Math.max(1, part.lanes.length);
    this._step = lanes <= 12 ? 26 : lanes <= 32 ? 16 : 10;
    this._canvas.draw(this._step * lanes + AXIS);
  }

  _x(width, at) {
    const [from, to] = this._part.window;
    const left = width < 520 ? 30 : LABEL;
    return left + ((width - left - 4) * (at - from)) / (to - from || 1);
  }

  _paint(context, width, height) {
    if (this._part === null) return;
    const {
      spans,
      lanes,
      window: [from, to],
    } = this._part;
    const thick = this._step - (this._step > 12 ? 6 : 2);
    const bottom = height - AXIS;
    this._paintAxis(context, width, bottom, from, to);
    lanes.forEach((lane, number) => {
      const y = number * this._step;
      context.fillStyle = token("--raised");
      context.fillRect(this._x(width, from), y, this._x(width, to) - this._x(width, from), thick);
      if (this._step > 12 || number % 4 === 0) {
        context.fillStyle = token(lane.is_there ? "--ink" : "--quiet");
        context.fillText(width < 520 ? String(lane.worker) : `worker ${lane.worker}`, 0, y + thick / 2);
      }
    });
    for (let at = 0; at < spans.lane.length; at += 1) {
      const [begin, end] = [
        this._x(width, Math.max(from, spans.begin[at])),
        this._x(width, Math.min(to, spans.end[at])),
      ];
      context.fillStyle = this._color(at);
      const y = spans.lane[at] * this._step;
      const wide = Math.max(1, end - begin - (end - begin > 4 ? 1 : 0));
      context.fillRect(begin, y, wide, thick);
      if (spans.ending[at] === "failed" && spans.kind[at] === TRAINING) {
        context.fillStyle = token("--bad");
        context.fillRect(begin, y + thick - 3, wide, 3);
      }
    }
  }

  _paintAxis(context, width, bottom, from, to) {
    const [unit, name] = unitOfTime(to);
    context.textAlign = "center";
    for (const at of roundTicks(from / unit, to / unit, width / 90)) {
      const x = this._x(width, at * unit);
      context.fillStyle = token("--grid");
      context.fillRect(Math.round(x), 0, 1, bottom);
      context.fillStyle = token("--quiet");
      context.fillText(String(at), Math.min(x, width - 12), bottom + 12);
    }
    context.textAlign = "left";
    context.fillText(width < 520 ? "" : name, 0, bottom + 12);
  }

  _color(at) {
    const { kind, rung } = this._part.spans;
    if (kind[at] === SAVING) return STATES.saving[0];
    return kind[at] === COMPILING ? STATES.compiling[0] : rungColor(rung[at], this._rungs.length);
  }

  /** Return the stretch below the pointer, or null. */
  _at(event) {
    if (this._part === null) return null;
    const box = this._canvas.element.getBoundingClientRect();
    const { spans } = this._part;
    const lane = Math.floor((event.clientY - box.top) / this._step);
    const x = event.clientX - box.left;
    let nearest = null;
    for (let at = 0; at < spans.lane.length; at += 1) {
      if (spans.lane[at] !== lane) continue;
      const [begin, end] = [this._x(box.width, spans.begin[at]), this._x(box.width, spans.end[at])];
      const far = x < begin ? begin - x : x > end ? x - end : 0;
      if (far < (nearest?.far ?? 4)) nearest = { at, far };
    }
    return nearest?.at ?? null;
  }

  _point(event) {
    const at = this._at(event);
    this._canvas.element.classList.toggle("pickable", at !== null && isNumber(this._part.spans.trial[at]));
    if (at === null) {
      this._tip.hide();
      return;
    }
    const { spans } = this._part;
    const box = this._canvas.element.getBoundingClientRect();
    const resource = this._rungs[spans.rung[at]]?.resource;
    const title = isNumber(spans.trial[at]) && `trial ${spans.trial[at]} to ${plural(resource, this._unit)}`;
    this._tip.show(event.clientX - box.left, event.clientY - box.top, [
      title,
      `${KINDS[spans.kind[at]]}, ${secondsText(spans.end[at] - spans.begin[at])}`,
      spans.ending[at] ?? "",
    ]);
  }
}

function describeLanes(figure, { lanes, spans, left_out: leftOut }, ladder, head) {
  const there = lanes.filter((lane) => lane.is_there).length;
  const hosts = new Set(lanes.map((lane) => lane.host).filter(Boolean));
  figure.caption(
    [
      plural(there, "worker"),
      hosts.size > 1 ? `on ${plural(hosts.size, "host")}` : shortened([...hosts][0] ?? "", 40),
      leftOut ? `${plural(leftOut, "lane")} left out` : "",
    ]
      .filter(Boolean)
      .join(" · "),
  );
  figure.describe(
    `The lanes of ${plural(lanes.length, "worker")}, with the latest ${plural(spans.lane.length, "job")}.`,
  );
  const kinds = [
    [SAVING, "saving"],
    [COMPILING, "compiling"],
  ].filter(([kind]) => spans.kind.includes(kind));
  figure.legend([...rungLegend(ladder.rungs, head.unit, "to "), ...kinds.map(([, name]) => STATES[name])]);
  figure.data(() => [
    ["worker", "work", "trial", "rung", "from", "to", "ending"].map((title) => ({ title })),
    spans.lane.map((lane, at) => [
      String(lanes[lane]?.worker ?? ""),
      KINDS[spans.kind[at]],
      String(spans.trial[at] ?? ""),
      String(spans.rung[at] ?? ""),
      secondsText(spans.begin[at]),
      secondsText(spans.end[at]),
      spans.ending[at] ?? "",
    ]),
  ]);
}

function drawShares(bar, names, shares) {
  const parts = Object.entries(STATES)
    .map(([name, [color, title]]) => [color, title, shares[name]])
    .filter(([, , share]) => isNumber(share) && share > 0);
  const stale = JSON.stringify(parts);
  if (bar.dataset.shown === stale) return;
  bar.dataset.shown = stale;
  replaceChildren(
    bar,
    parts.map(([color, , share]) => {
      const part = element("i", { "aria-hidden": "true" });
      part.style.background = color;
      part.style.flexGrow = share;
      return part;
    }),
  );
  names.show(parts.map(([color, title, share]) => [color, `${title} ${shareText(share)}`]));
}

function drawUtilisation(chart, figure, { utilisation: { time, share } }) {
  const last = share.findLast(isNumber);
  const series = {
    kind: "area",
    color: STATES.training[0],
    x: time,
    y: share,
    tip: (at) => [shareText(share[at]), `at ${secondsText(time[at])}`],
  };
  chart.draw([series], timeAxis(time.at(-1) ?? 1, "since the study began", time[0] ?? 0), {
    kind: "share",
    low: 0,
    high: 1,
    label: "",
  });
  figure.describe(
    `The share of the workers that train, over time: ${isNumber(last) ? shareText(last) : "unknown"} at last.`,
  );
  figure.data(() => [
    [{ title: "time" }, { title: "share" }],
    time.map((at, place) => [secondsText(at), shareText(share[place])]),
  ]);
}
