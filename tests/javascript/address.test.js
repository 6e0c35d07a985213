import assert from "node:assert/strict";
import { test } from "node:test";

const heard = {};
let written = "";
let isForbidden = false;
Object.assign(globalThis, {
  location: { href: "http://here/?study=1&log=x#curves", search: "?study=1&log=x" },
  addEventListener: (kind, listener) => Object.assign(heard, { [kind]: listener }),
  history: {
    replaceState(_, __, address) {
      if (isForbidden) throw new Error("a page within a frame may not change its address");
      written = String(address);
    },
  },
});
const { keep, kept } = await import("./page/address.js");

test("choices are written into the address, and again after the reader goes back to an address without them", () => {
  keep({ log: "", chosen: "3--5", where: ["a:1:2", "b::3"] });
  assert.equal(written, "http://here/?study=1&chosen=3--5&where=a%3A1%3A2&where=b%3A%3A3#curves");
  written = "";
  location.href = "http://here/?study=1";
  heard.popstate();
  assert.equal(written, "http://here/?study=1&chosen=3--5&where=a%3A1%3A2&where=b%3A%3A3");
});

test("choices are kept where the address may not be changed", () => {
  isForbidden = true;
  keep({ log: "y" });
  assert.deepEqual([kept("log"), kept("study"), kept("other")], ["y", "1", ""]);
});
