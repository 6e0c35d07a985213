import assert from "node:assert/strict";
import { test } from "node:test";
import {
  bytesText, capital, listed, roughSecondsText, shareText, shortened, textsApart, valueText, visible,
} from "./page/text.js";

test("an estimate of a time has one unit and no false digits", () => {
  assert.deepEqual([0.2, 7, 42, 89, 90, 600, 5400, 7000, 129600].map(roughSecondsText), [
    "1 s",
    "7 s",
    "40 s",
    "90 s",
    "2 min",
    "10 min",
    "1.5 h",
    "1.9 h",
    "1.5 d",
  ]);
});

test("what is not known is said in words", () => {
  assert.deepEqual([roughSecondsText(null), bytesText(undefined), shareText(NaN)], ["unknown", "unknown", "unknown"]);
  assert.deepEqual([null, true, [1, "a"], "adam"].map(valueText), ["not active", "true", '[1,"a"]', "adam"]);
});

test("hidden characters are shown, ends of lines stay", () => {
  assert.equal(visible("a\u202eb\x07c\nd"), "a\\u202eb\\x07c\nd");
  assert.equal(visible("\ufffe\uffff"), "\\ufffe\\uffff", "XML forbids them");
});

test("values that differ have texts that differ", () => {
  assert.deepEqual(textsApart([0.98661, 0.98663, 0.5, 0.5]), ["0.98661", "0.98663", "0.5", "0.5"]);
  assert.deepEqual(textsApart([0.98661, 0.5, "none"]), ["0.9866", "0.5", "none"]);
  const long = "word".repeat(20);
  assert.deepEqual(textsApart([`${long}1`, `${long}2`]), [`"${long}1"`, `"${long}2"`]);
  assert.deepEqual(textsApart([1, "1"]), ["1", '"1"']);
});

test("a text is cut to a width on one line", () => {
  assert.equal(shortened("one\n  two three", 9), "one two …");
  assert.equal(shortened("one\n two", 7), "one two");
});

test("words are listed as in a sentence", () => {
  assert.deepEqual(
    [listed([]), listed(["a"]), listed(["a", "b", "c"]), capital("loss")],
    ["", "a", "a, b and c", "Loss"],
  );
});
