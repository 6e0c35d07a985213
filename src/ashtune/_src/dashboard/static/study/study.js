// A study as the server describes it: its parts, which change while it runs, and answers to questions.

import { numberText } from "../page/text.js";
import { ask } from "./ask.js";
import { SAVED } from "./saved.js";
import { follow } from "./stream.js";

/** Return a study. @param number Its index in the command, from 0. */
export function newStudy(number) {
  /** By name: head, ladder, best, workers, curves, failures, notes, space. A part that cannot be made is null. */
  const parts = {};
  const listeners = [];
  let heard = performance.now();
  /** The names of the parts that have changed since the last frame. */
  let changed = new Set();
  let frame = 0;

  function tell(names) {
    for (const name of names) changed.add(name);
    frame ||= requestAnimationFrame(draw);
  }

  function draw() {
    const now = changed;
    changed = new Set();
    frame = 0;
    for (const listener of listeners) {
      if (!listener.names.some((name) => now.has(name))) continue;
      if (listener.names.every((name) => parts[name])) listener.draw(parts);
      else if (listener.names.some((name) => parts[name] === null)) listener.lack();
    }
  }

  const study = {
    number,
    parts,
    /** The number of bytes of the journal that the server has read. @type {number | null} */
    position: null,
    /** Whether the server can be asked. */
    isConnected: true,

    /** Start to follow the study. `told`: `tell` of `follow`. */
    follow(told) {
      follow(
        `api/studies/${number}/events`,
        (data) => {
          study.position = data.position;
          heard = performance.now();
          Object.assign(parts, data.parts);
          tell(Object.keys(data.parts));
        },
        (state, file) => {
          study.isConnected = ["connected", "saved"].includes(state);
          told(state, file);
        },
        () => study.isRunning,
      );
    },

    /**
     * Call `draw(parts)` at the next frame after a change of one of these parts, if all of them are available.
     *
     * @param lack Called instead if the server could not make one of them.
     */
    on(names, drawParts, lack = () => {}) {
      listeners.push({ names, draw: drawParts, lack });
    },

    /** Whether there is a study with these parts to draw. */
    has: (names) => study.isThere && names.every((name) => parts[name]),

    /** Notify all views again, for example after the page of a trial is closed. */
    refresh: () => tell(Object.keys(parts)),

    /** Ask a question about this study; see `ask`. @param path Below the study's address, as "trials/17". */
    ask: (path, parameters) => ask(`api/studies/${number}/${path}`, parameters),

    /** Whether the study sends news about every second. */
    get isRunning() {
      return ["running", "reading"].includes(parts.head?.state);
    },

    /** Whether there is a study to draw, not only a directory. */
    get isThere() {
      return parts.head?.objectives.length > 0;
    },

    /** Whether a trial has a finite result. */
    get hasResult() {
      return study.isThere && Boolean(parts.head.best);
    },

    /** The unit of the resource, in the singular. */
    get unit() {
      return parts.head?.unit ?? "epoch";
    },

    /** The first objective: `{metric, mode}`. */
    get objective() {
      return parts.head?.objectives[0] ?? { metric: "value", mode: "max", digits: 4 };
    },

    /** Return a metric as text, in digits that tell trials apart. */
    metricText: (name, value) =>
      numberText(value, parts.head?.objectives.find(({ metric }) => metric === name)?.digits),

    /** Return a value of the first objective as text. */
    resultText: (value) => numberText(value, study.objective.digits),

    /** The resources of the rungs, lowest first. */
    get resources() {
      return parts.ladder?.resources ?? [];
    },

    /** The names of the hyperparameters that are not constant. */
    get names() {
      return (parts.space?.hyperparameters ?? []).filter(({ type }) => type !== "constant").map(({ name }) => name);
    },

    /** Seconds since the last message; running work continues in the meantime, except on a saved page. */
    get sinceHeard() {
      return SAVED ? 0 : (performance.now() - heard) / 1000;
    },
  };
  return study;
}
