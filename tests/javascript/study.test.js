import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { ask, lineOf } from "./study/ask.js";
import { namesOf } from "./study/names.js";
import { newStudy } from "./study/study.js";

/** The connections that the page opened, the latest last, and what waits for the next frame. */
let sources = [];
let frames = [];

class Source extends EventTarget {
  constructor(address) {
    super();
    this.address = address;
    this.isClosed = false;
    sources.push(this);
  }

  close() {
    this.isClosed = true;
  }

  send(type, data = {}, lastEventId = "") {
    this.dispatchEvent(Object.assign(new Event(type), { data: JSON.stringify(data), lastEventId }));
  }
}

function frame() {
  const due = frames;
  frames = [];
  for (const each of due) each();
}

beforeEach(() => {
  [sources, frames] = [[], []];
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  Object.assign(globalThis, {
    EventSource: Source,
    requestAnimationFrame: (draw) => frames.push(draw),
    document: { hidden: false, addEventListener() {} },
    addEventListener() {},
  });
});

function followed() {
  const study = newStudy(3);
  const told = [];
  study.follow((state) => told.push(state));
  return { study, told };
}

test("a delta replaces the parts that it has and leaves the others", () => {
  const { study } = followed();
  sources[0].send("snapshot", { position: 10, parts: { head: { unit: "step" }, notes: { search: "grid" } } }, "10");
  sources[0].send("delta", { position: 20, parts: { notes: { search: "gp" } } }, "20");
  assert.deepEqual(study.parts, { head: { unit: "step" }, notes: { search: "gp" } });
  assert.deepEqual([study.position, study.unit], [20, "step"]);
});

test("a view is drawn once a frame, when all of its parts are there and one has changed", () => {
  const { study } = followed();
  const drawn = [];
  study.on(["head", "best"], (parts) => drawn.push(parts.best));
  sources[0].send("snapshot", { position: 1, parts: { head: {} } });
  frame();
  assert.deepEqual(drawn, []);
  sources[0].send("delta", { position: 2, parts: { best: 1 } });
  sources[0].send("delta", { position: 3, parts: { best: 2 } });
  frame();
  sources[0].send("delta", { position: 4, parts: { notes: {} } });
  frame();
  assert.deepEqual(drawn, [2]);
});

test("a view whose part cannot be made is told so", () => {
  const { study } = followed();
  const said = [];
  study.on(
    ["head", "failures"],
    () => said.push("drawn"),
    () => said.push("lacks"),
  );
  sources[0].send("snapshot", { position: 1, parts: { head: {}, failures: null } });
  frame();
  assert.deepEqual(said, ["lacks"]);
});

test("a connection that broke is opened again where it was, after longer and longer waits", () => {
  const { told } = followed();
  assert.equal(sources[0].address, "api/studies/3/events");
  sources[0].send("open");
  sources[0].send("delta", { position: 7, parts: {} }, "7.1");
  sources[0].send("error");
  mock.timers.tick(499);
  assert.equal(sources.length, 1);
  mock.timers.tick(1);
  assert.equal(sources[1].address, "api/studies/3/events?after=7.1");
  sources[1].send("error");
  mock.timers.tick(999);
  assert.equal(sources.length, 2);
  mock.timers.tick(1);
  assert.equal(sources.length, 3);
  assert.deepEqual(
    [told, sources.map((each) => each.isClosed)],
    [
      ["connected", "lost", "lost"],
      [true, true, false],
    ],
  );
});

test("a server that has said that it ends is not called lost", () => {
  const { told } = followed();
  sources[0].send("end");
  sources[0].send("error");
  assert.deepEqual(told, ["ended"]);
});

test("what the server refuses is one line, and a fault is no refusal", async () => {
  globalThis.fetch = async (address) => ({
    json: async () => (address === "a?x=1" ? { error: "no result yet" } : { x: 2 }),
  });
  await assert.rejects(ask("a", [["x", 1]]), (problem) => lineOf(problem) === "no result yet");
  assert.deepEqual(await ask("a"), { x: 2 });
  globalThis.fetch = async () => Promise.reject(new TypeError("down"));
  await assert.rejects(ask("a"), (problem) => lineOf(problem) === "no answer from ashtune watch");
  assert.throws(() => lineOf(new TypeError("a fault")), TypeError);
});

test("studies of one name are told apart by the last part of their directory", () => {
  const studies = [
    ["train", "runs/a"],
    ["train", "runs/b/"],
    ["other", "runs/c"],
    ["", "runs/d"],
  ];
  const names = namesOf(studies.map(([name, directory], id) => ({ id, name, directory })));
  assert.deepEqual([...names.values()], ["train · a", "train · b", "other", "d"]);
});
