// The summary: the state of the study, its best value, and the remaining time.

import { element, replaceChildren, set, setText, trialLink } from "../page/dom.js";
import {
  capital, countText, isNumber, joined, plural, roughSecondsText, secondsText, shareText,
  valueText,
} from "../page/text.js";
import { isFruitless } from "../study/answers.js";

/** The names of a study's states, and the meaning of each, which sets its colour. */
const STATES = {
  reading: { name: "Reading the journal", mood: "none" },
  running: { name: "Running", mood: "good" },
  complete: { name: "Complete", mood: "good" },
  stopped: { name: "Stopped", mood: "fair" },
  died: { name: "Died", mood: "bad" },
  quiet: { name: "Quiet", mood: "fair" },
  missing: { name: "No study yet", mood: "none" },
  unreadable: { name: "Unreadable", mood: "bad" },
};
const OVER = ["complete", "stopped", "died", "missing", "unreadable"];

/** @param {HeadPart} head */
function stateOf(head) {
  if (isFruitless(head)) return { name: "Ended without a result", mood: "bad" };
  return head.paused ? { name: "Paused", mood: "fair" } : STATES[head.state];
}

export function summary(study) {
  const state = newTile("state", "State");
  const best = newTile("best-value", "Best");
  const left = newTile("time-left", "Time left");
  const name = element("h1", "…");
  const about = element("p.about.quiet");
  const nothing = element("p", { hidden: true });
  const tiles = element("div.tiles", state.element, best.element, left.element);
  const bar = element("progress", { "aria-label": "Trials tried", max: 1 });
  left.value.after(bar);
  set(state.value, { role: "status" });
  const root = element(
    "section",
    { id: "summary", tabindex: -1, "aria-label": "Summary" },
    name,
    about,
    nothing,
    tiles,
  );
  const show = ({ head }) => {
    const goals = head.objectives.map(({ metric, mode }) => `${metric} (${mode})`).join(", ");
    const title = head.name || head.directory;
    setText(name, title);
    setText(about, joined(head.scheduler, head.search, goals, head.directory));
    document.title = location.hash.startsWith("#trial/")
      ? joined(location.hash.slice(1).replace("/", " "), title)
      : joined(head.best && study.resultText(bestValue(head)), stateOf(head).name.toLowerCase(), title);
    tiles.hidden = !(nothing.hidden = study.isThere);
    const start = `${capital(head.state_text)}. A study that you start in this directory is shown here at once:`;
    replaceChildren(nothing, `${start} `, element("code", `ashtune run … --directory ${head.directory}`));
    showState(state, head);
    showBest(best, head, study);
    showLeft(left, bar, head);
  };
  const lack = () => {
    state.element.dataset.mood = "none";
    state.say("Not known", "The server could not find out the state of this study.");
  };
  study.on(["head"], show, lack);
  setInterval(() => {
    if (study.parts.head?.state === "running") setText(state.more, timeText(study.parts.head, study.sinceHeard));
  }, 1000);
  return { id: "summary", short: "", element: root, isEmpty: () => false };
}

/** Return a large value with two lines below it. */
function newTile(kind, title) {
  const value = element("b.value");
  const detail = element("p.detail");
  const more = element("p.detail.quiet");
  return {
    element: element("div", { class: `tile ${kind}` }, element("h2", title), value, detail, more),
    value,
    detail,
    more,
    say(short, words, others = "") {
      setText(value, short);
      setText(detail, words);
      setText(more, others);
    },
  };
}

/** @param {HeadPart} head */
function showState(state, head) {
  const { name, mood } = stateOf(head);
  const words = capital(head.state_text);
  const value = head.state === "reading" ? `${name}: ${shareText(head.is_reading)}` : name;
  state.element.dataset.mood = mood;
  state.say(value, words === STATES[head.state].name ? "" : words, timeText(head, 0));
}

/** @param {HeadPart} head @param more Seconds since `head` was sent. */
function timeText({ state, wall_seconds: seconds, workers, busy, sessions }, more) {
  const isRunning = state === "running";
  return joined(
    state !== "reading" && `ran for ${secondsText(seconds + (isRunning ? more : 0))}`,
    isRunning && !workers && "the workers are starting",
    isRunning && workers > 0 && isNumber(busy) && `${countText(busy)} of ${plural(workers, "worker")} busy`,
    sessions > 1 && plural(sessions, "session"),
  );
}

/** Return the value of the best trial in the first objective. @param {HeadPart} head */
function bestValue({ best, objectives }) {
  return best?.metrics[objectives[0]?.metric];
}

/** @param {HeadPart} head */
function showBest(tileOfBest, head, study) {
  if (!head.best) {
    const reason = head.tried ? "No trial has a finite result" : "The first trials are training";
    tileOfBest.say(isFruitless(head) ? "none" : "none yet", head.state === "running" || head.tried ? reason : "");
    return;
  }
  const { trial, resource, metrics, configuration, margin, chosen, compared } = head.best;
  const [first, ...others] = head.objectives.map(({ metric }) => metric);
  const names = [first, ...others.map((metric) => `${metric} ${study.metricText(metric, metrics[metric])}`)];
  setText(tileOfBest.value, study.resultText(bestValue(head)));
  replaceChildren(tileOfBest.detail, `${names.join(", ")} at ${plural(resource, head.unit)}, `, trialLink(trial));
  const values = Object.entries(configuration).map(([name, value]) => `${name} ${valueText(value)}`);
  setText(tileOfBest.more, joined(chosen, ...values, margin, compared));
}

function showLeft(left, bar, head) {
  const { state, remaining, epochs, unit, failed, withdrawn, tried, trials_wanted: wanted } = head;
  const open = isNumber(remaining.seconds) ? `about ${roughSecondsText(remaining.seconds)}` : "open";
  const now = head.paused ? "paused" : state === "reading" ? "not known yet" : open;
  left.element.dataset.mood = isFruitless(head) ? "bad" : "";
  left.say(
    isFruitless(head) ? "ended" : state === "complete" ? "done" : OVER.includes(state) ? "stands still" : now,
    capital(remaining.done),
    joined(
      `${plural(epochs, unit)} trained`,
      failed > 0 && `${countText(failed)} failed`,
      withdrawn > 0 && `${countText(withdrawn)} withdrawn`,
    ),
  );
  bar.hidden = !wanted;
  bar.value = wanted ? tried / wanted : 0;
}
