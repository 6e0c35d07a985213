import assert from "node:assert/strict";
import { test } from "node:test";
import { areBusy, isBetter, whatMatters, whatNext, whyFailed } from "./study/answers.js";

const HEAD = {
  state: "running",
  now: 100,
  wall_seconds: 100,
  objectives: [{ metric: "loss", mode: "min" }],
  tried: 20,
  failed: 0,
  workers: 4,
  busy: 3,
  utilisation: 0.9,
  trials_wanted: 40,
  best: { trial: 1 },
  remaining: { seconds: 100 },
  quiet_seconds: 200,
  directory: "runs/digits",
};
const steps = (x, y) => ({ kind: "step", x, y });
const best = (x, y) => ({ over_time: { series: x.length ? [{ kind: "points", x, y }, steps(x, y)] : [] } });

test("a study gets better if its best value moved in the last quarter of the time", () => {
  assert.equal(isBetter({ head: HEAD, best: best([10, 90], [0.5, 0.3]) }).word, "Yes");
  assert.equal(isBetter({ head: HEAD, best: best([10, 60], [0.5, 0.3]) }).word, "Slowly");
  assert.equal(isBetter({ head: HEAD, best: best([10, 20], [0.5, 0.3]) }).word, "Not lately");
  assert.equal(isBetter({ head: HEAD, best: best([], []) }).word, "No result yet");
});

test("the first result of the highest rung is no progress over lower ones", () => {
  const both = { over_time: { series: [steps([95], [0.4]), steps([1, 2, 3], [0.9, 0.5, 0.1])] } };
  assert.match(isBetter({ head: HEAD, best: both }).text, /^loss 0\.4/);
});

test("workers are busy, mostly or hardly, and the largest losses are named", () => {
  const rest = { "waiting for the driver": 0.02, saving: 0.05, "idle without a job": 0 };
  const answer = areBusy({ head: HEAD, workers: { rest } });
  assert.deepEqual([answer.mood, answer.word], ["good", "Yes, 90 %"]);
  assert.equal(answer.text, "3 of 4 at work now. The rest: saving 5 % and waiting for the driver 2 %.");
  assert.equal(areBusy({ head: { ...HEAD, utilisation: 0.7 }, workers: { rest } }).word, "Mostly, 70 %");
  assert.equal(areBusy({ head: { ...HEAD, utilisation: 0.2 }, workers: { rest } }).mood, "bad");
  assert.equal(areBusy({ head: { ...HEAD, utilisation: null }, workers: { rest } }).mood, "none");
});

const learned = (...weights) => ({
  weights: weights.map(([name, weight, error]) => ({ name, weight, error })),
  text: "",
  among_best: "",
});

test("a hyperparameter is far ahead only if the error bars part", () => {
  const text = (...weights) => whatMatters({}, { answer: learned(...weights), refusal: "" }).text;
  assert.match(text(["rate", 0.8, 0.1], ["width", 0.1, 0.05]), /^No other comes near\./);
  assert.match(text(["rate", 0.8, 0.5], ["width", 0.1, 0.3]), /^Then width\./);
  assert.match(text(["rate", 0.8, 0.01], ["width", 0.5, 0.01]), /^Then width\./);
  assert.match(text(["rate", 0.8, 0.1]), /^No other comes near\./);
});

test("no hyperparameter is named where the forest says nothing", () => {
  const answer = { ...learned(), text: "a random forest explains less than half" };
  assert.equal(whatMatters({}, { answer, refusal: "" }).word, "Not known");
  assert.equal(whatMatters({}, { answer, refusal: "" }).text, "A random forest explains less than half.");
  assert.equal(whatMatters({ head: HEAD }, { answer: null, refusal: "no scikit-learn" }).text, "No scikit-learn.");
});

test("the reason of most failed trials is said before what was withdrawn", () => {
  const group = (kind, count, reason) => ({ kind, count, reason, in_common: "" });
  const groups = [group("withdrawn", 9, "too large"), group("failed", 1, "a typo"), group("failed", 2, "not finite")];
  const answer = whyFailed({ head: { ...HEAD, failed: 2 }, failures: { groups } });
  assert.deepEqual(
    [answer.mood, answer.word, answer.text],
    ["fair", "2 of 20 failed", "2 × not finite; and 2 other reasons"],
  );
  assert.equal(whyFailed({ head: { ...HEAD, failed: 3 }, failures: { groups } }).mood, "bad");
  assert.equal(whyFailed({ head: HEAD, failures: { groups: [] } }).word, "None failed");
});

test("the answer shows the title of the first advice, and the text of all", () => {
  const of = (...advice) => whatNext({ answer: { advice }, refusal: "" });
  assert.deepEqual(of({ title: "Widen lr", text: "lr is at its bound" }, { title: "Confirm", text: "train again" }), {
    mood: "fair",
    word: "Widen lr",
    text: "lr is at its bound. train again.",
  });
  assert.equal(whatNext({ answer: null, refusal: "the study is gone" }).text, "The study is gone.");
  assert.deepEqual([of().word, whatNext({ answer: null, refusal: "" }).word], ["No advice", "Not known yet"]);
});

test("nothing is invented while the journal is read", () => {
  const head = { ...HEAD, state: "reading" };
  const said = [isBetter({ head, best: best([1], [1]) }), areBusy({ head }), whyFailed({ head, failures: { groups: [] } })];
  assert.deepEqual(new Set(said.map(({ word, mood }) => `${word} ${mood}`)), new Set(["Not known yet none"]));
});

test("a study that ended without a result is bad news", () => {
  const head = { ...HEAD, state: "complete", best: null };
  const nothing = [isBetter({ head, best: best([], []) }), whatMatters({ head }, { answer: null, refusal: "" })];
  for (const answer of nothing) assert.deepEqual([answer.mood, answer.word], ["bad", "No result"]);
});

test("a metric keeps its own spelling at the beginning of a sentence", () => {
  assert.match(isBetter({ head: HEAD, best: best([10, 90], [0.5, 0.3]) }).text, /^loss went from 0\.5 to 0\.3 /);
});

test("with several objectives the best value of one metric is called so", () => {
  const head = { ...HEAD, objectives: [...HEAD.objectives, { metric: "latency", mode: "min" }] };
  assert.match(isBetter({ head, best: best([10, 60], [0.5, 0.3]) }).text, /^Best loss 0\.3 /);
});
