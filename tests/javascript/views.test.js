import assert from "node:assert/strict";
import { test } from "node:test";
import { SCALE } from "./looks.js";
import { nearest } from "./page/plot.js";
import { colorOn, rungColor } from "./page/theme.js";
import { between } from "./views/contour.js";
import { pointsByRung } from "./views/rungs.js";
import { byImportance } from "./views/slices.js";
import { rangeText } from "./views/trial_filters.js";
import { parametersOf } from "./views/trials.js";
import { Predictions } from "./views/whatif.js";

const ASKED = { search: "", sort: "value", order: "", status: "", rung: "", origin: "", where: [], offset: 0 };

test("only filters that are set are asked for, and the best come first", () => {
  const study = (mode) => ({ objective: { metric: "accuracy", mode } });
  assert.deepEqual(parametersOf(ASKED, study("max")), [
    ["sort", "value"],
    ["order", "desc"],
    ["offset", 0],
    ["count", 25],
  ]);
  assert.equal(parametersOf(ASKED, study("min"))[1][1], "asc");
  const asked = { ...ASKED, sort: "rate", status: "failed", where: [{ name: "a:b", low: "0.1", high: "" }] };
  assert.deepEqual(parametersOf(asked, study("max")).slice(1), [
    ["order", "asc"],
    ["offset", 0],
    ["count", 25],
    ["status", "failed"],
    ["where", "a:b:0.1:"],
  ]);
});

test("a range is said in words, of choices by their names", () => {
  assert.equal(rangeText({ low: "0.1", high: "" }, null), "from 0.1");
  assert.equal(rangeText({ low: "0.1", high: "2" }, null), "from 0.1 to 2");
  assert.equal(rangeText({ low: "0.6", high: "2.4" }, ["sgd", "adam", "lion", "adan"]), "adam or lion");
  assert.equal(rangeText({ low: "2", high: "" }, ["sgd", "adam", "lion", "adan"]), "lion or adan");
});

test("the most important hyperparameters come first, the others as the user wrote them", () => {
  assert.deepEqual(byImportance({ names: ["a", "b", "c", "d"], important: ["d", "b"] }), ["d", "b", "a", "c"]);
});

test("each result is a point of its rung's series, and says which result it is", () => {
  const rungs = [{ resource: 1 }, { resource: 3 }];
  const results = { x: [1, 2, 3], y: [0.5, 0.4, 0.3], rung: [0, 1, 0], trial: [7, 8, 9] };
  const [low, high] = pointsByRung(rungs, "epoch", results, (at) => [`result ${at}`]);
  assert.deepEqual([low.label, low.x, high.x, low.tip(1)], ["to 1 epoch", [1, 3], [2], ["result 2"]]);
});

test("a map is interpolated between cells that are known, and unknown where none is near", () => {
  const grid = [
    [0, 10],
    [20, null],
  ];
  assert.equal(between(grid, 0, 0.5), 5);
  assert.equal(between(grid, 0.5, 0), 10);
  assert.equal(between(grid, 1, 1), null);
  assert.equal(between(grid, 0.9, 0.9), null);
  assert.equal(between(grid, -0.4, 0), 0);
});

test("rungs have the colours of the scale from its first to its last", () => {
  assert.deepEqual([rungColor(0, 4), rungColor(3, 4), rungColor(0, 1)], [SCALE[0], SCALE.at(-1), SCALE[0]]);
  assert.equal(colorOn(["#000000", "#0a1428", "#ffffff"], 0.25), "#050a14");
});

test("predictions are found by what was asked, and forgotten once they are old and the study has grown", (context) => {
  context.mock.method(performance, "now", () => now);
  let now = 0;
  const predictions = new Predictions();
  predictions.add([{ workers: 4 }], "3", 100);
  assert.deepEqual([predictions.of(3, 4), predictions.of(2, 4)], [{ workers: 4 }, undefined]);
  now = 61000;
  predictions.add([{ workers: 8 }], "3", 200);
  assert.deepEqual(predictions.all(3), [{ workers: 8 }]);
});

test("the mark nearest to the pointer is found, and none where none is near", () => {
  const at = { x: (value) => 10 * value, y: (value) => 100 - 10 * value };
  const points = { kind: "points", x: [1, 2, null], y: [5, 5, 5], tip: () => [] };
  const dumb = { kind: "line", x: [1.4], y: [5] };
  const found = (series, offsetX, offsetY) => nearest([series, dumb], at, { offsetX, offsetY })?.point;
  assert.deepEqual([found(points, 14, 52), found(points, 16, 52), found(points, 14, 80)], [0, 1, undefined]);
  const bars = { kind: "bars", x: [0, 3], end: [2, 4], y: [5, 6], thick: 10, tip: () => [] };
  assert.deepEqual(
    [found(bars, 10, 54), found(bars, 23, 50), found(bars, 26, 50), found(bars, 35, 40)],
    [0, 0, undefined, 1],
  );
});
