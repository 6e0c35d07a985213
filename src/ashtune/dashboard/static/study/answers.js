// The five questions of a reader, answered in a word and a sentence each, from the parts of a study.
//
// An answer is `{mood, word, text}`: its mood is "good", "fair", "bad" or "none", which colours it.

import { STATES } from "../page/theme.js";
import {
  capital,
  countText,
  isNumber,
  listed,
  numberText,
  plural,
  roughSecondsText,
  secondsText,
  shareText,
  shortened,
} from "../page/text.js";

/** A best value that did not move for this share of the time is an old one. */
const LATELY = 0.25;
const LONG_AGO = 0.6;
const BUSY = 0.85;
const HALF_BUSY = 0.6;
/** A hyperparameter is named beside the first if it has at least this part of its importance, or may be as important. */
const NEAR_THE_FIRST = 0.15;
const MANY_FAILED = 0.1;
const UNKNOWN = "none";

/** Is it getting better? */
export function isBetter({ head, best }) {
  const metric = head.objectives[0]?.metric;
  const steps = stepsOf(best, metric);
  if (!steps.length)
    return {
      mood: UNKNOWN,
      word: "No result yet",
      text: head.state === "running" ? "The first trials are training." : "",
    };
  const since =
    steps[
      Math.max(
        0,
        steps.findLastIndex(([, value], place) => place > 0 && value !== steps[place - 1][1]),
      )
    ][0];
  const now = Math.max(head.now, since);
  const last = steps.at(-1)[1];
  const first = best.over_time.values[metric].find(isNumber);
  if (!isAtWork(head)) {
    return {
      mood: "good",
      word: `${capital(metric)} ${numberText(last)}`,
      text: `Reached after ${secondsText(since)}; the first result was ${numberText(first)}.`,
    };
  }
  const before = steps.findLast(([at]) => at <= now * (1 - LATELY))?.[1];
  if (now - since > LATELY * now) {
    const text = `${capital(metric)} ${numberText(last)} for the last ${secondsText(now - since)}.`;
    return now - since > LONG_AGO * now
      ? { mood: "fair", word: "Not lately", text }
      : { mood: "fair", word: "Slowly", text };
  }
  const text = isNumber(before)
    ? `${capital(metric)} went from ${numberText(before)} to ${numberText(last)} in the last quarter of the time.`
    : `${capital(metric)} ${numberText(last)}, the best for ${secondsText(now - since)}.`;
  return { mood: "good", word: "Yes", text };
}

/** Return the best so far at the highest rung with results, where the study's best is: pairs of time and value. */
function stepsOf({ over_time: any, over_time_at_highest: highest }, metric) {
  const { time, values } = highest.time.length ? highest : any;
  return time.map((at, place) => [at, values[metric]?.[place]]).filter(([, value]) => isNumber(value));
}

/** Are my workers busy? */
export function areBusy({ head, workers }) {
  if (!isNumber(head.utilisation))
    return { mood: UNKNOWN, word: "Not known yet", text: "No worker has trained so far." };
  const share = shareText(head.utilisation);
  const losses = Object.entries(workers.shares).filter(
    ([name, part]) => name !== "training" && isNumber(part) && part >= 0.01,
  );
  losses.sort(([, a], [, b]) => b - a);
  const rest = losses.slice(0, 2).map(([name, part]) => `${STATES[name]?.[1] ?? name} ${shareText(part)}`);
  const lost = rest.length ? `The rest: ${listed(rest)}.` : "";
  const mood = head.utilisation >= BUSY ? "good" : head.utilisation >= HALF_BUSY ? "fair" : "bad";
  if (!isAtWork(head))
    return { mood, word: `They were, ${share}`, text: `Of their time they trained ${share}. ${lost}` };
  const now = isNumber(head.busy) ? `${countText(head.busy)} of ${countText(head.workers)} at work now. ` : "";
  return { mood, word: `${{ good: "Yes", fair: "Mostly", bad: "Hardly" }[mood]}, ${share}`, text: `${now}${lost}` };
}

/** Which hyperparameter matters? @param importance The answer to the question of that name, and why there is none. */
export function whatMatters({ head }, { answer, refusal }) {
  if (answer === null && refusal) return { mood: UNKNOWN, word: "Not known", text: `${capital(refusal)}.` };
  if (answer === null)
    return {
      mood: UNKNOWN,
      word: head?.best ? "Being computed" : "Not known yet",
      text: head?.best ? "A forest learns from the trials." : "It takes some twenty results.",
    };
  const weights = answer.weights.filter(({ weight }) => isNumber(weight) && weight > 0);
  if (!weights.length) return { mood: UNKNOWN, word: "Not known yet", text: `${capital(answer.text)}.` };
  const explained = shareText(Math.max(0, answer.explained ?? 0));
  if (!answer.is_meaningful)
    return {
      mood: "fair",
      word: "None that shows",
      text: `A forest explains ${explained} of the differences between trials.`,
    };
  const [first, ...rest] = weights;
  const others = rest
    .filter(
      ({ weight, error }) =>
        weight > NEAR_THE_FIRST * first.weight || weight + (error ?? 0) >= first.weight - (first.error ?? 0),
    )
    .slice(0, 2)
    .map(({ name }) => shortened(name, 28));
  const alone = answer.weights.length > 1 ? "Far ahead of all others." : "It is the only one that varies.";
  const then = others.length ? `Then ${listed(others)}.` : alone;
  return {
    mood: "good",
    word: shortened(first.name, 28),
    text: `${then} A forest explains ${explained} of the differences between ${plural(answer.results, "trial")}.`,
  };
}

/** Why did these fail? */
export function whyFailed({ head, failures }) {
  if (!failures.groups.length)
    return {
      mood: "good",
      word: "None failed",
      text: head.tried ? `${plural(head.tried, "trial")} tried so far.` : "No trial has ended yet.",
    };
  const place = ({ kind }) => (head.failed && kind === "failed" ? 0 : 1);
  const [first, ...rest] = [...failures.groups].sort((a, b) => place(a) - place(b) || b.count - a.count);
  const other = { withdrawn: "withdrawn", lost: "lost with a worker" }[first.kind] ?? "failed";
  const word = head.failed
    ? `${countText(head.failed)} of ${countText(head.tried)} failed`
    : `${countText(first.count)} ${other}`;
  const more = rest.length ? `; and ${plural(rest.length, "other reason")}` : "";
  return {
    mood: head.failed > MANY_FAILED * head.tried ? "bad" : "fair",
    word,
    text: first.in_common
      ? `${first.in_common}: ${shortened(first.reason, 70)}${more}`
      : `${countText(first.count)} × ${shortened(first.reason, 90)}${more}`,
  };
}

/** How long still? */
export function howLong({ head }) {
  const done = head.trials_wanted
    ? `${countText(head.tried)} of ${plural(head.trials_wanted, "trial")} tried.`
    : `${plural(head.tried, "trial")} tried.`;
  const ran = secondsText(head.wall_seconds);
  const goOn = `Go on with: ashtune resume ${head.directory}`;
  switch (head.state) {
    case "complete":
      return { mood: "good", word: "It is complete", text: `It took ${ran}. ${done}` };
    case "stopped":
      return { mood: "fair", word: "It was stopped", text: `After ${ran}. ${done} ${goOn}` };
    case "died":
      return { mood: "bad", word: "It died", text: `After ${ran}. ${done} ${goOn}` };
    case "quiet":
      return {
        mood: "fair",
        word: "Not known",
        text: `No news for ${secondsText(head.driver.quiet_seconds ?? 0)}. ${done}`,
      };
    case "missing":
    case "unreadable":
      return { mood: UNKNOWN, word: "Not known", text: capital(head.state_text) };
    default:
      break;
  }
  if (isNumber(head.remaining.seconds))
    return { mood: "good", word: `About ${roughSecondsText(head.remaining.seconds)}`, text: done };
  return { mood: UNKNOWN, word: head.trials_wanted ? "Too early to tell" : "It is open", text: done };
}

function isAtWork({ state }) {
  return state === "running" || state === "reading";
}
