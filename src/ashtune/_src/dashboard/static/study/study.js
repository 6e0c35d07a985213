// A study as the server describes it: its parts, which change while it runs, and answers to questions.

import { ask } from "./ask.js";
import { SAVED } from "./saved.js";
import { follow } from "./stream.js";

export class Study {
  /** @param number Its index in the command, from 0. */
  constructor(number) {
    this.number = number;
    /** By name: head, ladder, best, workers, curves, failures, notes, space. A part that cannot be made is null. */
    this.parts = {};
    /** The number of bytes of the journal that the server has read. */
    this.position = null;
    /** Whether the server can be asked. */
    this.isConnected = true;
    this._heard = performance.now();
    this._listeners = [];
    this._changed = new Set();
    this._frame = 0;
  }

  /** Start to follow the study. `tell`: see `follow`. */
  follow(tell) {
    follow(
      `api/studies/${this.number}/events`,
      (data) => this._take(data),
      (state, file) => {
        this.isConnected = ["connected", "saved"].includes(state);
        tell(state, file);
      },
      () => this.isRunning,
    );
  }

  /**
   * Call `draw(parts)` at the next frame after a change of one of these parts, if all of them are available.
   *
   * @param lack Called instead if the server could not make one of them.
   */
  on(names, draw, lack = () => {}) {
    this._listeners.push({ names, draw, lack });
  }

  /** Whether there is a study with these parts to draw. */
  has(names) {
    return this.isThere && names.every((name) => this.parts[name]);
  }

  /** Notify all views again, for example after the page of a trial is closed. */
  refresh() {
    this._tell(Object.keys(this.parts));
  }

  /** Ask a question about this study; see `ask`. @param path Below the study's address, as "trials/17". */
  ask(path, parameters = []) {
    return ask(`api/studies/${this.number}/${path}`, parameters);
  }

  /** Whether the study sends news about every second. */
  get isRunning() {
    return ["running", "reading"].includes(this.parts.head?.state);
  }

  /** Whether there is a study to draw, not only a directory. */
  get isThere() {
    return this.parts.head?.objectives.length > 0;
  }

  /** Whether a trial has a finite result. */
  get hasResult() {
    return this.isThere && Boolean(this.parts.head.best);
  }

  /** The unit of the resource, in the singular. */
  get unit() {
    return this.parts.head?.unit ?? "epoch";
  }

  /** The first objective: `{metric, mode}`. */
  get objective() {
    return this.parts.head?.objectives?.[0] ?? { metric: "value", mode: "max" };
  }

  /** The resources of the rungs, lowest first. */
  get resources() {
    return this.parts.ladder?.resources ?? [];
  }

  /** The names of the hyperparameters that are not constant. */
  get names() {
    return (this.parts.space?.hyperparameters ?? []).filter(({ type }) => type !== "constant").map(({ name }) => name);
  }

  /** Seconds since the last message; running work continues in the meantime, except on a saved page. */
  get sinceHeard() {
    return SAVED ? 0 : (performance.now() - this._heard) / 1000;
  }

  _take({ position, parts }) {
    this.position = position;
    this._heard = performance.now();
    Object.assign(this.parts, parts);
    this._tell(Object.keys(parts));
  }

  _tell(names) {
    for (const name of names) this._changed.add(name);
    this._frame ||= requestAnimationFrame(() => this._draw());
  }

  _draw() {
    const changed = this._changed;
    this._changed = new Set();
    this._frame = 0;
    for (const { names, draw, lack } of this._listeners) {
      if (!names.some((name) => changed.has(name))) continue;
      if (names.every((name) => this.parts[name])) draw(this.parts);
      else if (names.some((name) => this.parts[name] === null)) lack();
    }
  }
}
