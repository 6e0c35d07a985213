import assert from "node:assert/strict";
import { test } from "node:test";
import { leastOn, tableOf, together } from "./page/figure.js";
import { colorOn, nearest } from "./page/plot.js";
import { chooseOnly, placesIn } from "./study/chosen.js";
import { askChosen } from "./views/chosen.js";
import { rangeText } from "./views/trial_filters.js";
import { ALL, parametersOf, queryIn, stateText } from "./views/trials.js";
import { newPredictions } from "./views/whatif.js";

test("only filters that are set are asked for, and the best come first", () => {
  const study = (mode) => ({ objective: { metric: "accuracy", mode } });
  assert.deepEqual(parametersOf(ALL, study("max")), [
    ["sort", "value"],
    ["order", "desc"],
    ["offset", 0],
    ["count", 25],
  ]);
  assert.equal(parametersOf(ALL, study("min"))[1][1], "asc");
  const asked = { ...ALL, sort: "rate", status: "failed", where: [{ name: "a:b", low: "0.1", high: "" }] };
  assert.deepEqual(parametersOf(asked, study("max")).slice(1), [
    ["order", "asc"],
    ["status", "failed"],
    ["offset", 0],
    ["count", 25],
    ["where", "a:b:0.1:"],
  ]);
});

test("the query of the table is read from the address of the page", () => {
  const read = queryIn("?study=1&search=trial+50&sort=loss&like=7&offset=25&where=a:b:0.1:&where=x");
  const where = [{ name: "a:b", low: "0.1", high: "" }];
  assert.deepEqual(read, { ...ALL, search: "trial 50", sort: "loss", like: "7", offset: 25, where });
  assert.deepEqual(queryIn("?offset=-3"), ALL);
});

test("no trial runs once the driver has ended", () => {
  const word = (status, state) => stateText(status, { parts: { head: { state } } });
  assert.deepEqual([word("running", "running"), word("running", "died"), word("paused", "died")], [
    "running",
    "interrupted",
    "paused",
  ]);
});

test("a range is said in words, of choices by their names", () => {
  assert.equal(rangeText({ low: "0.1", high: "" }, null), "from 0.1");
  assert.equal(rangeText({ low: "0.1", high: "2" }, null), "from 0.1 to 2");
  assert.equal(rangeText({ low: "0.6", high: "2.4" }, ["sgd", "adam", "lion", "adan"]), "adam or lion");
  assert.equal(rangeText({ low: "2", high: "" }, ["sgd", "adam", "lion", "adan"]), "lion or adan");
});

test("figures are put together over axes that show all, and a name stands once", () => {
  const figure = (low, high, ticks, name) => ({ x: { low, high, ticks }, y: { low, high, ticks }, series: [{ name }] });
  const both = together([figure(1, 4, [1, 4], "ash"), figure(0, 2, [2], "ash"), figure(1, 9, [], "trial 3")]);
  assert.deepEqual(both.x, { low: 0, high: 9, ticks: [1, 2, 4] });
  assert.deepEqual(both.series, [{ name: "ash" }, { name: "" }, { name: "trial 3" }]);
});

test("axes of which not all are logarithmic are together a linear one, which can show what each shows", () => {
  const figure = (isLog, low, high, ticks) => ({ x: { isLog, low, high, ticks }, y: { isLog, low, high, ticks }, series: [] });
  const both = together([figure(true, 0.9, 90, [1, 10]), figure(false, 0, 2, [])]);
  assert.deepEqual(both.x, { isLog: false, low: 0, high: 90, ticks: [] });
});

test("chosen trials are read from the address, each once, and a free place keeps the colours of the others", () => {
  assert.deepEqual(placesIn("3--17"), [3, null, 17]);
  assert.deepEqual(placesIn("3-x-3-1e9-1-2-4-5-6-7"), [3, null, null, null, 1, 2, 4, 5]);
  assert.deepEqual(placesIn(""), [null]);
});

test("the chosen trials are asked for again when their places change, which are their colours", () => {
  Object.assign(globalThis, { location: { href: "http://here/" }, document: { querySelectorAll: () => [] } });
  let question = () => [];
  askChosen({ askWhenSeen: (asked) => (question = asked) }, {}, () => {});
  const asked = [[null, 3, null, 5], [3, 5]].map((places) => {
    chooseOnly(places);
    return JSON.stringify(question());
  });
  assert.notEqual(asked[0], asked[1]);
});

test("the table of a figure has all that can be pointed at, without columns that nothing uses", () => {
  const axis = { name: "", choices: [], written: "number", unit: 1, ticks: [] };
  const points = { kind: "points", x: [1, null, 3], y: [0.5, 0.4, null], color: "" };
  const texts = { ...points, kind: "texts", words: ["a", "b", "c"] };
  const figure = { x: { ...axis, name: "rate" }, y: { ...axis, name: "loss" }, series: [points, texts] };
  assert.deepEqual(tableOf(figure), [["loss", "rate"], [["0.5", "1"]]]);
});

test("a colour between two is their mixture, its opacity too", () => {
  assert.deepEqual(colorOn(["rgba(0,10,20,1)", "rgba(100,10,40,0)"], 0.5), [50, 10, 30, 127.5]);
});

test("predictions are found by what was asked, and forgotten once they are old and the study has grown", (context) => {
  context.mock.method(performance, "now", () => now);
  let now = 0;
  const predictions = newPredictions();
  predictions.add([{ workers: 4 }], "3", 100);
  assert.deepEqual([predictions.of(3, 4), predictions.of(2, 4)], [{ workers: 4 }, undefined]);
  now = 61000;
  predictions.add([{ workers: 8 }], "3", 200);
  assert.deepEqual(predictions.all(3), [{ workers: 8 }]);
});

test("the mark nearest to the pointer is found, and none where none is near", () => {
  const at = { x: (value) => 10 * value, y: (value) => 100 - 10 * value, row: 10 };
  const points = { kind: "points", x: [1, 2, null], y: [5, 5, 5] };
  const dumb = { kind: "line", x: [1.4], y: [5], isSilent: true };
  const found = (series, offsetX, offsetY) => nearest([series, dumb], at, { offsetX, offsetY })?.point;
  assert.deepEqual([found(points, 14, 52), found(points, 16, 52), found(points, 14, 80)], [0, 1, undefined]);
  const bars = { kind: "bars", x: [0, 3], end: [2, 4], y: [5, 6], thick: 1 };
  assert.deepEqual(
    [found(bars, 10, 54), found(bars, 23, 50), found(bars, 26, 50), found(bars, 35, 40)],
    [0, 0, undefined, 1],
  );
});

test("an axis may be logarithmic if all values on it are above 0 and no bar begins there", () => {
  const axis = { low: -1, high: 9, choices: [], written: "number" };
  const least = (x, changes = {}, kind = "line") => leastOn({ x: { ...axis, ...changes }, series: [{ kind, x }], cells: null }, "x");
  assert.equal(least([3, null, 2]), 2);
  assert.equal(least([3, 0]), 0);
  assert.equal(least([3, -5, 2]), 2, "a value beyond the axis");
  assert.equal(least([3, 2], {}, "bars"), 0);
  assert.equal(least([1, 2], { choices: ["a", "b", "c"] }), 0);
  assert.equal(least([]), 0);
});
