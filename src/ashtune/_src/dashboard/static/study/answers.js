// The reader's questions, each answered by a word and a sentence from the parts of a study.

import {
  capital, countText, isNumber, listed, numberText, plural, secondsText, shareText, shortened,
} from "../page/text.js";

/** A best value that did not change for this share of the time is old. */
const LATELY = 0.25;
const LONG_AGO = 0.6;
const BUSY = 0.85;
const HALF_BUSY = 0.6;
/** A hyperparameter is named after the first if it has at least this share of its importance, or may be equal. */
const NEAR_THE_FIRST = 0.15;
const MANY_FAILED = 0.1;

/** @param {ReaderAnswer["mood"]} mood @returns {ReaderAnswer} */
function answer(mood, word, text) {
  return { mood, word, text };
}

/** Return the answer for a share that should be near 1. */
function shareAnswer(share, text) {
  const percent = shareText(share);
  if (share >= BUSY) return answer("good", `Yes, ${percent}`, text);
  if (share >= HALF_BUSY) return answer("fair", `Mostly, ${percent}`, text);
  return answer("bad", `Hardly, ${percent}`, text);
}

/** Whether a study has ended, and no trial has a finite result. @param {HeadPart} head */
export function isFruitless({ state, best, tried }) {
  return state === "complete" && !best && tried > 0;
}

/** The answer while the journal is read for the first time, or once more for how the study ended. */
const READING = answer("none", "Not known yet", "The journal is being read.");

/** Is it getting better? @param {Parts} parts */
export function isBetter({ head, best }) {
  const { metric, digits } = head.objectives[0] ?? {};
  const written = (value) => numberText(value, digits);
  const steps = stepsOf(best);
  if (head.state === "reading") return READING;
  if (isFruitless(head)) return answer("bad", "No result", "No trial has a finite result.");
  if (!steps.length) return answer("none", "No result yet", isAtWork(head) ? "The first trials are training." : "");
  const moved = steps.findLastIndex(([, value], place) => place > 0 && value !== steps[place - 1][1]);
  const [since] = steps[Math.max(0, moved)];
  const now = Math.max(head.now, since);
  const [first, last] = [stepsOf(best, true)[0][1], steps[steps.length - 1][1]];
  const value = `${head.objectives.length > 1 ? "Best " : ""}${metric} ${written(last)}`;
  if (!isAtWork(head))
    return answer("good", value, `Reached after ${secondsText(since)}; the first result was ${written(first)}.`);
  if (now - since > LATELY * now)
    return answer(
      "fair",
      now - since > LONG_AGO * now ? "Not lately" : "Slowly",
      `${value} for the last ${secondsText(now - since)}.`,
    );
  const before = steps.findLast(([at]) => at <= now * (1 - LATELY));
  const text = before
    ? `${metric} went from ${written(before[1])} to ${written(last)} in the last quarter of the time.`
    : `${value}, the best for ${secondsText(now - since)}.`;
  return answer("good", "Yes", text);
}

/** Return pairs of time and best value so far, at the highest rung with results, or at any rung. */
function stepsOf({ over_time: { series } }, isAny = false) {
  const lines = series.filter(({ kind }) => kind === "step");
  const line = isAny ? lines.at(-1) : lines[0];
  return line ? line.x.map((at, place) => [at, line.y[place]]) : [];
}

/** Are my workers busy? @param {Parts} parts */
export function areBusy({ head, workers }) {
  if (head.state === "reading") return READING;
  if (!isNumber(head.utilisation)) return answer("none", "Not known yet", "No worker has trained so far.");
  const share = shareText(head.utilisation);
  const losses = Object.entries(workers.rest)
    .filter(([, part]) => part >= 0.01)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 2)
    .map(([name, part]) => `${name} ${shareText(part)}`);
  const lost = losses.length ? `The rest: ${listed(losses)}.` : "";
  const now = isNumber(head.busy) ? `${countText(head.busy)} of ${countText(head.workers)} at work now. ` : "";
  const current = shareAnswer(head.utilisation, `${now}${lost}`);
  if (isAtWork(head)) return current;
  return answer(current.mood, `They were, ${share}`, `They trained for ${share} of their time. ${lost}`);
}

/**
 * Which hyperparameter matters?
 *
 * @param {Parts} parts
 * @param {{ answer: Answers["importance"] | null, refusal: string }} known The importance, or why it is unknown.
 */
export function whatMatters({ head }, { answer: importance, refusal }) {
  if (importance === null) {
    if (refusal) return answer("none", "Not known", `${capital(refusal)}.`);
    if (head?.best) return answer("none", "Being computed", "A random forest learns from the trials.");
    if (head && isFruitless(head)) return answer("bad", "No result", "No trial has a finite result.");
    return answer("none", "Not known yet", "At least fifty results are needed.");
  }
  const [first, ...rest] = importance.weights;
  const text = `${capital(importance.text)}.`;
  if (!first) return answer("none", "Not known", text);
  const { name: best, weight, error } = first;
  const others = rest
    .filter((other) => other.weight > NEAR_THE_FIRST * weight || other.weight + other.error >= weight - error)
    .slice(0, 2)
    .map(({ name }) => shortened(name, 28));
  const then = others.length ? `Then ${listed(others)}.` : "No other comes near.";
  return answer("good", shortened(best, 28), `${then} ${text}`);
}

/** Why did these fail? @param {Parts} parts */
export function whyFailed({ head, failures }) {
  const place = ({ kind }) => (head.failed && kind === "failed" ? 0 : 1);
  const [first, ...rest] = [...failures.groups].sort((a, b) => place(a) - place(b) || b.count - a.count);
  if (!first && head.state === "reading") return READING;
  if (!first && !head.tried) return answer("none", "None failed", "No trial has ended yet.");
  if (!first) return answer("good", "None failed", `${plural(head.tried, "trial")} tried so far.`);
  const word = head.failed
    ? `${countText(head.failed)} of ${countText(head.tried)} failed`
    : `${countText(first.count)} ${first.kind === "lost" ? "lost with a worker" : first.kind}`;
  const reason = first.in_common
    ? `${first.in_common}: ${shortened(first.reason, 70)}`
    : `${countText(first.count)} × ${shortened(first.reason, 90)}`;
  const more = rest.length ? `; and ${plural(rest.length, "other reason")}` : "";
  return answer(head.failed > MANY_FAILED * head.tried ? "bad" : "fair", word, `${reason}${more}`);
}

/**
 * What next?
 *
 * @param {{ answer: Answers["advice"] | null, refusal: string }} known
 */
export function whatNext({ answer: known, refusal }) {
  if (refusal) return answer("none", "Not known", `${capital(refusal)}.`);
  if (!known) return answer("none", "Not known yet", "About twenty results are needed.");
  const [first] = known.advice;
  if (!first) return answer("none", "No advice", "No range is known to be too narrow, and no trial is near the best.");
  return answer("fair", first.title, known.advice.map(({ text }) => `${text}.`).join(" "));
}

function isAtWork({ state }) {
  return state === "running";
}
