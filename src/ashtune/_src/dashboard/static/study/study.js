// A study as the server tells it: its parts, which change while it runs, and answers to questions.

import { ask } from "./ask.js";
import { follow } from "./stream.js";

export class Study {
  /** @param number Its place in the command, from 0. */
  constructor(number) {
    this.number = number;
    /** By name: head, ladder, best, workers, curves, failures, notes, space. One that cannot be made is null. */
    this.parts = {};
    /** How far the journal is read, in bytes. */
    this.position = null;
    /** Names of hyperparameters, the most important first, once that is known. */
    this.important = [];
    this._heard = performance.now();
    this._listeners = [];
    this._changed = new Set();
    this._frame = 0;
  }

  /** Begin to follow it. `tell` is called with "connected" and "lost". */
  follow(tell) {
    follow(
      `api/studies/${this.number}/events`,
      (data) => this._take(data),
      tell,
      () => this.isRunning,
    );
  }

  /**
   * Call `draw(parts)` at the next frame after one of these parts has changed, if all of them are there.
   *
   * @param lack Called in its place if the server could not make one of them.
   */
  on(names, draw, lack = () => {}) {
    this._listeners.push({ names, draw, lack });
  }

  /** Whether there is a study to draw, with these parts. */
  has(names) {
    return this.isThere && names.every((name) => this.parts[name]);
  }

  /** Tell all views again, as when the page of a trial is left. */
  refresh() {
    this._tell(Object.keys(this.parts));
  }

  /** Ask a question about this study; see `ask`. @param path Below the study's address, as "trials/17". */
  ask(path, parameters = []) {
    return ask(`api/studies/${this.number}/${path}`, parameters);
  }

  /** Whether there is news of it every second or so. */
  get isRunning() {
    return ["running", "reading"].includes(this.parts.head?.state);
  }

  /** Whether there is a study to draw, and not only a directory. */
  get isThere() {
    return this.parts.head?.objectives.length > 0;
  }

  /** What the resource counts, in the singular. */
  get unit() {
    return this.parts.head?.unit ?? "epoch";
  }

  /** The first objective: `{metric, mode}`. */
  get objective() {
    return this.parts.head?.objectives?.[0] ?? { metric: "value", mode: "max" };
  }

  /** The resources of the rungs, the lowest first. */
  get resources() {
    return this.parts.ladder?.resources ?? [];
  }

  /** The names of the hyperparameters that vary. */
  get names() {
    return (this.parts.space?.hyperparameters ?? []).filter(({ type }) => type !== "constant").map(({ name }) => name);
  }

  /** Seconds that have gone by since the last message: what runs goes on in between. */
  get sinceHeard() {
    return (performance.now() - this._heard) / 1000;
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
