import assert from "node:assert/strict";
import { test } from "node:test";
import {
  hyperparameterAxis,
  metricAxis,
  numberAxis,
  padded,
  placeOn,
  resourceAxis,
  roundTicks,
  scattered,
  ticksOf,
  timeAxis,
  valueAt,
} from "./page/axis.js";

const LOSS = { metric: "loss", mode: "min" };
const near = (a, b) => assert.ok(Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(b)), `${a} is not ${b}`);

test("a place on an axis and the value there are inverse, on linear, logarithmic and turned axes", () => {
  for (const axis of [
    numberAxis("", -2, 5),
    numberAxis("", 1e-4, 10, true),
    { ...numberAxis("", 0, 0), low: 3.5, high: -0.5 },
  ])
    for (const place of [0, 0.25, 1]) near(placeOn(axis, valueAt(axis, place)), place);
  assert.equal(placeOn(numberAxis("", 2, 2), 2), 0.5);
});

test("an axis is logarithmic only where all of it is above zero", () => {
  assert.equal(numberAxis("", 0, 1, true).isLog, false);
  assert.equal(metricAxis([0.001, 0.1, 1], LOSS).isLog, true);
  assert.equal(metricAxis([-0.001, 0.1, 1], LOSS).isLog, false);
});

test("one result far worse than the others lies beyond the axis of a metric, and all the good ones on it", () => {
  const good = Array.from({ length: 20 }, (_, at) => 0.1 + at / 100);
  const axis = metricAxis([...good, 1e9, null, NaN], LOSS);
  assert.equal(axis.beyond, 1);
  assert.ok(axis.high < 1);
  for (const value of good) assert.ok(axis.low <= value && value <= axis.high);
  const turned = metricAxis([...good.map((value) => -value), -1e9], { metric: "score", mode: "max" });
  assert.equal(turned.beyond, 1);
  near(turned.low, -axis.high);
});

test("of few results none lies beyond", () => {
  assert.equal(metricAxis([1, 2, 1e9], LOSS).beyond, 0);
  assert.deepEqual([metricAxis([], LOSS).low, metricAxis([], LOSS).high], [0, 1]);
});

test("ticks are round numbers within the axis", () => {
  assert.deepEqual(roundTicks({ low: 0.13, high: 0.92 }, 4), [0.2, 0.4, 0.6, 0.8]);
  assert.deepEqual(roundTicks({ low: 0, high: 100 }, 5), [0, 20, 40, 60, 80, 100]);
  assert.deepEqual(roundTicks({ low: 1e-4, high: 0.5, isLog: true }, 5), [1e-4, 1e-3, 1e-2, 1e-1]);
  assert.deepEqual(roundTicks({ low: 0.02, high: 0.05, isLog: true }, 5), [0.02, 0.05]);
});

test("ticks of a time are whole in its unit", () => {
  const axis = timeAxis(7200, "since the study began");
  assert.equal(axis.label, "since the study began (minutes)");
  assert.deepEqual(
    ticksOf(axis, 640).map(([at, text]) => [at % 60, text]),
    [0, 20, 40, 60, 80, 100, 120].map((at) => [0, String(at)]),
  );
});

test("ticks are thinned until their texts do not touch", () => {
  const axis = hyperparameterAxis({
    name: "layer",
    choices: Array.from({ length: 40 }, (_, at) => `choice ${at}`),
    low: 0,
    high: 0,
    log: false,
  });
  const texts = ticksOf(axis, 300).map(([, text]) => text);
  assert.ok(texts.length > 1 && texts.join("").length * 6 < 300, texts.join());
  assert.equal(ticksOf(axis, 1e6).length, 40);
});

test("choices stand at their places, numbers on the scale on which they were drawn", () => {
  const choices = hyperparameterAxis({ name: "optimizer", choices: ["sgd", "adam"], low: 0, high: 1, log: false });
  assert.deepEqual([choices.low, choices.high, choices.text(1.2), padded(choices).low], [-0.5, 1.5, "adam", -0.5]);
  const rate = hyperparameterAxis({ name: "rate", choices: [], low: 1e-4, high: 1, log: true });
  assert.equal(placeOn(rate, 1e-2), 0.5);
  assert.ok(padded(rate).low < 1e-4 && padded(rate).low > 5e-5);
});

test("the axis of curves begins where they begin, below the lowest rung, and has a tick at each rung", () => {
  const axis = resourceAxis([9, 27], "epoch", [{ resource: [3, 6, 9] }, { resource: [2, 4, 9, 27] }]);
  assert.ok(0 < axis.low && axis.low < 2 && axis.high > 27);
  assert.deepEqual(axis.ticks, [2, 9, 27]);
});

test("a trial is always moved aside in the same way, by less than one", () => {
  const moved = Array.from({ length: 1000 }, (_, trial) => scattered(trial));
  assert.ok(moved.every((each) => -1 <= each && each < 1));
  assert.ok(new Set(moved).size === 1000 && scattered(7) === moved[7]);
});
