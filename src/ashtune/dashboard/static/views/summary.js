// What is looked at first: the state of the study, its best value, and the time left.

import { element, replaceChildren, set, setText, svg, trialLink } from "../page/dom.js";
import {
  capital,
  countText,
  isNumber,
  numberText,
  plural,
  roughSecondsText,
  secondsText,
  shareText,
} from "../page/text.js";

const WORDS = {
  reading: "Reading the journal",
  running: "Running",
  complete: "Complete",
  stopped: "Stopped",
  died: "Died",
  quiet: "Quiet",
  missing: "No study yet",
  unreadable: "Unreadable",
};
/** What the state means for a reader: its colour and its sign, beside the word. */
const MOODS = { running: "good", complete: "good", stopped: "fair", died: "bad", quiet: "fair", unreadable: "bad" };

export function summary(study) {
  const state = tile("state", "State");
  const best = tile("best-value", "Best");
  const left = tile("time-left", "Time left");
  const name = element("h1", { text: "…" });
  const about = element("p", { class: "about quiet" });
  const spark = svg(
    "svg",
    { class: "spark", viewBox: "0 0 100 28", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path"),
  );
  const bar = element(
    "div",
    { class: "progress", role: "progressbar", "aria-label": "Trials tried", "aria-valuemin": 0, "aria-valuemax": 100 },
    element("i"),
  );
  set(state.value, { role: "status" });
  best.extra.append(spark);
  left.extra.append(bar);
  const root = element(
    "section",
    { id: "summary", tabindex: -1, "aria-label": "Summary" },
    name,
    about,
    element("div", { class: "tiles" }, state.element, best.element, left.element),
  );
  const show = ({ head }) => {
    setText(name, head.name || head.directory);
    setText(about, [head.scheduler, head.search, goalText(head), head.directory].filter(Boolean).join(" · "));
    if (!location.hash.startsWith("#trial/"))
      document.title = [
        head.best ? numberText(bestValue(head)) : null,
        WORDS[head.state].toLowerCase(),
        head.name || head.directory,
      ]
        .filter(Boolean)
        .join(" · ");
    showState(state, head);
    showBest(best, head);
    showLeft(left, bar, head);
  };
  const lack = () => {
    state.element.dataset.mood = "none";
    setText(state.value, "Not known");
    setText(state.detail, "The server could not make out how this study stands.");
    setText(state.more, "");
  };
  study.on(["head"], show, lack);
  study.on(["best", "head"], ({ best: steps, head }) => drawSpark(spark, steps, head));
  setInterval(() => {
    if (study.parts.head?.state === "running") showTime(state, study.parts.head, study.sinceHeard);
  }, 1000);
  return { id: "summary", short: "", element: root };
}

function tile(kind, title) {
  const value = element("b", { class: "value" });
  const detail = element("p", { class: "detail" });
  const more = element("p", { class: "detail quiet" });
  const extra = element("div", { class: "extra" });
  const root = element("div", { class: `tile ${kind}` }, element("h2", { text: title }), value, extra, detail, more);
  return { element: root, value, detail, more, extra };
}

function showState(state, head) {
  state.element.dataset.mood = MOODS[head.state] ?? "none";
  setText(
    state.value,
    head.state === "reading" && isNumber(head.is_reading)
      ? `${WORDS.reading}: ${shareText(head.is_reading)}`
      : head.paused
        ? "Paused"
        : WORDS[head.state],
  );
  const words = capital(head.state_text);
  setText(state.detail, words === WORDS[head.state] ? "" : words);
  showTime(state, head, 0);
}

function showTime(state, head, more) {
  const parts = [`ran for ${secondsText(head.wall_seconds + (head.state === "running" ? more : 0))}`];
  if (head.state === "running" && isNumber(head.workers) && isNumber(head.busy))
    parts.push(`${countText(head.busy)} of ${plural(head.workers, "worker")} busy`);
  if (head.sessions > 1) parts.push(plural(head.sessions, "session"));
  setText(state.more, parts.join(" · "));
}

/** Return the value of the best trial in the first objective. */
function bestValue(head) {
  return head.best?.metrics?.[head.objectives[0]?.metric] ?? null;
}

function goalText(head) {
  return head.objectives.map(({ metric, mode }) => `${metric} (${mode})`).join(", ");
}

function showBest(best, head) {
  if (!head.best) {
    setText(best.value, "none yet");
    setText(best.detail, head.tried ? "No trial has a finite result" : "The first trials are training");
    setText(best.more, "");
    return;
  }
  const { trial, resource, metrics, origin } = head.best;
  setText(best.value, numberText(bestValue(head)));
  const others = head.objectives.slice(1).map(({ metric }) => `${metric} ${numberText(metrics[metric])}`);
  const words = `${[head.objectives[0].metric, ...others].join(", ")} at ${plural(resource, head.unit)}`;
  if (best.shown !== `${words} ${trial}`) replaceChildren(best.detail, `${words}, `, trialLink(trial));
  best.shown = `${words} ${trial}`;
  setText(best.more, origin ? `proposed by: ${origin}` : "");
}

function showLeft(left, bar, head) {
  const { done, seconds } = head.remaining;
  const isOver = ["complete", "stopped", "died", "missing", "unreadable"].includes(head.state);
  setText(
    left.value,
    isNumber(seconds) && !isOver
      ? `about ${roughSecondsText(seconds)}`
      : isOver
        ? head.state === "complete"
          ? "done"
          : "stands still"
        : "open",
  );
  setText(left.detail, capital(done));
  const wanted = head.trials_wanted;
  const parts = [`${countText(head.epochs)} ${head.unit}s trained`];
  if (head.failed) parts.push(`${countText(head.failed)} failed`);
  if (head.withdrawn) parts.push(`${countText(head.withdrawn)} withdrawn`);
  setText(left.more, parts.join(" · "));
  bar.hidden = !wanted;
  const share = wanted ? Math.min(1, head.tried / wanted) : 0;
  bar.setAttribute("aria-valuenow", Math.round(100 * share));
  bar.firstElementChild.style.width = `${100 * share}%`;
}

function drawSpark(spark, best, head) {
  const { time, values } = best.over_time;
  const steps = values[head.objectives[0]?.metric] ?? [];
  const points = time.map((at, number) => [at, steps[number]]).filter(([, value]) => isNumber(value));
  if (points.length < 2) {
    spark.firstElementChild.setAttribute("d", "");
    return;
  }
  const from = Math.max(0.1, points[0][0]);
  const to = Math.max(head.now, points.at(-1)[0], 1.1 * from);
  const late = points.slice(Math.floor(points.length / 3)).map(([, value]) => value); // the first are far from the best
  const [low, high] = [Math.min(...late), Math.max(...late)];
  const x = (at) => (100 * Math.log(Math.max(at, from) / from)) / Math.log(to / from); // most steps come early
  const y = (value) => 26 - (24 * (Math.max(low, Math.min(high, value)) - low)) / (high - low || 1);
  const path = points.map(([at, value], number) =>
    number ? `H${x(at).toFixed(2)}V${y(value).toFixed(2)}` : `M${x(at).toFixed(2)} ${y(value).toFixed(2)}`,
  );
  spark.firstElementChild.setAttribute("d", `${path.join("")}H100`);
}
