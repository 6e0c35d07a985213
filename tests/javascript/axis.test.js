import assert from "node:assert/strict";
import { test } from "node:test";
import { placeOn, roundTicks, scaled, textOn, ticksOf, valueAt } from "./page/axis.js";

const AXIS = { name: "", title: "", low: 0, high: 1, isLog: false, written: "number", unit: 1, ticks: [], choices: [] };
const near = (a, b) => assert.ok(Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(b)), `${a} is not ${b}`);

test("a place on an axis and the value there are inverse, on linear, logarithmic and turned axes", () => {
  for (const axis of [
    { ...AXIS, low: -2, high: 5 },
    { ...AXIS, low: 1e-4, high: 10, isLog: true },
    { ...AXIS, low: 3.5, high: -0.5 },
  ])
    for (const place of [0, 0.25, 1]) near(placeOn(axis, valueAt(axis, place)), place);
  assert.equal(placeOn({ ...AXIS, low: 2, high: 2 }, 2), 0.5);
});

test("ticks are round numbers within the axis", () => {
  assert.deepEqual(roundTicks({ ...AXIS, low: 0.13, high: 0.92 }, 4), [0.2, 0.4, 0.6, 0.8]);
  assert.deepEqual(roundTicks({ ...AXIS, low: 0, high: 100 }, 5), [0, 20, 40, 60, 80, 100]);
  assert.deepEqual(roundTicks({ ...AXIS, low: 0.04, high: 0.96 }, 3), [0.2, 0.4, 0.6, 0.8], "more than 0.5 alone");
});

test("no two ticks have the same text: whole numbers have no ticks between, and other ticks have enough digits", () => {
  const texts = (axis, room) => ticksOf({ ...AXIS, ...axis }, room).map(([, text]) => text);
  assert.deepEqual(texts({ high: 3, written: "count" }, 640), ["0", "1", "2", "3"]);
  assert.deepEqual(texts({ low: -1000.2, high: -999.4 }, 320), ["-1000.2", "-1,000", "-999.8", "-999.6", "-999.4"]);
});

test("ticks of a time are whole in its unit", () => {
  assert.deepEqual(
    ticksOf({ ...AXIS, high: 7200, written: "seconds", unit: 60 }, 640).map(([at, text]) => [at % 60, text]),
    [0, 20, 40, 60, 80, 100, 120].map((at) => [0, String(at)]),
  );
});

test("ticks are thinned until their texts do not touch", () => {
  const choices = Array.from({ length: 40 }, (_, at) => `choice ${at}`);
  const axis = { ...AXIS, low: -0.5, high: 39.5, choices, ticks: [...choices.keys()] };
  const texts = ticksOf(axis, 300).map(([, text]) => text);
  assert.ok(texts.length > 1 && texts.join("").length * 6 < 300, texts.join());
  assert.equal(ticksOf(axis, 1e6).length, 40);
});

test("choices are named at their places, also beside them, and what is not there is off", () => {
  const axis = { ...AXIS, choices: ["sgd", "adam"] };
  assert.deepEqual([1.2, -0.3, 7, null].map((at) => textOn(axis, at)), ["adam", "sgd", "adam", "off"]);
});

test("ticks that are close together on a logarithmic axis are left out", () => {
  const axis = { low: 1, high: 100, isLog: true, unit: 1, ticks: [2.8, 3, 30], choices: [], written: "number" };
  assert.deepEqual(ticksOf(axis, 200, 22), [
    [2.8, "2.8"],
    [30, "30"],
  ]);
});

test("an axis gets another scale with its own ticks and title, and a low end above 0", () => {
  const linear = { ...AXIS, name: "loss", low: -0.1, high: 2, ticks: [1] };
  const log = scaled(linear, true, 0.02);
  assert.deepEqual([log.high, log.title, log.low < 0.02, log.low > 0.01], [2, "loss (logarithmic)", true, true]);
  assert.deepEqual(ticksOf(log, 900).map(([at]) => at), [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]);
  assert.deepEqual(ticksOf({ ...log, low: 1.2, high: 1.8 }, 300).map(([at]) => at), [1.2, 1.4, 1.6, 1.8]);
  const again = scaled(log, false, 0.02);
  assert.deepEqual([again.title, again.low < 0.02, again.low > -0.1], ["loss", true, true]);
  assert.equal(scaled(linear, false, 0.02), linear);
});
