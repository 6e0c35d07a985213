// A section of the page. It is drawn and asks questions only while it is on the screen or near it.

import { lineOf } from "../study/ask.js";
import { SAVED } from "../study/saved.js";
import { element, setText } from "./dom.js";

/** On a saved page all sections are near, so that they can be printed. */
const NEAR = SAVED ? "1000000px" : "200px";
/** Least milliseconds before a question is asked again while the study changes. */
const EVERY = 15000;
/** Milliseconds without an answer before the section says that the answer is being computed. */
const SOON = 800;
const LACKING = "The server could not make this part. What is below, if anything, is not up to date.";

export class Section {
  /**
   * @param id Id of its element, the target of links.
   * @param title Its heading.
   * @param lead A sentence below the heading, or "".
   * @param short Its name in the navigation, or "" to leave it out.
   */
  constructor(id, title, lead = "", short = title) {
    this.id = id;
    this.short = short;
    this.isNear = false;
    this._seen = [];
    this.lead = element("p.lead", lead);
    this.body = element("div.body");
    this._remark = element("p.remark.quiet", { hidden: true });
    this._lacking = element("p.remark.bad", { hidden: true }, LACKING);
    this.element = element(
      "section.blank",
      { id, "aria-labelledby": `${id}-title`, tabindex: -1 },
      element(
        "div.heading",
        element("h2", { id: `${id}-title` }, title),
        element("span.working.quiet", { "aria-hidden": "true" }, "being worked out …"),
      ),
      lead && this.lead,
      this._lacking,
      this._remark,
      this.body,
    );
    new IntersectionObserver(
      (entries) => {
        this.isNear = entries[entries.length - 1].isIntersecting; // several may have come at once, the latest last
        if (this.isNear) for (const listener of this._seen) listener();
      },
      { rootMargin: NEAR },
    ).observe(this.element);
  }

  /** Whether there is nothing to show; such a section is hidden. A section that needs more than a study replaces it. */
  isEmpty(study) {
    return !study.isThere;
  }

  /** Show a text below the heading, or remove it. */
  say(text) {
    setText(this._remark, text);
    this._remark.hidden = !text;
  }

  /**
   * Draw these parts of a study when they have changed and the section is near the screen.
   *
   * @returns A function that draws again when the section is near the screen and all parts are available.
   */
  drawWhenSeen(study, names, draw) {
    let isDrawn = true;
    const go = () => {
      if (isDrawn || !this.isNear || !study.has(names)) return;
      isDrawn = true;
      this.element.classList.remove("blank");
      draw(study.parts);
    };
    const again = () => {
      isDrawn = false;
      go();
    };
    study.on(
      names,
      () => {
        this._lacking.hidden = true;
        again();
      },
      () => {
        this._lacking.hidden = false;
        this.element.classList.remove("blank");
      },
    );
    this._seen.push(go);
    return again;
  }

  /**
   * Ask a question when the section is first seen, and again while the study changes.
   *
   * @param study A study, or an object with `position` and `ask`.
   * @param question Returns the arguments of `ask`, or null if there is nothing to ask.
   * @param draw Called with the answer and its question, because the current question may be another one by then.
   * @param options `every`: milliseconds; `refuse`: called with the line of a refusal, and with "" after an answer; `ask`.
   * @returns A function that asks at once if the question has changed.
   */
  askWhenSeen(study, question, draw, { every = EVERY, refuse = (line) => this.say(line), ask = study.ask.bind(study) } = {}) {
    /** @type {{ address: string, position: number | null, at: number }} */
    let last = { address: "", position: null, at: -Infinity };
    let isAsking = false;
    let isRefused = false;
    const say = (line) => {
      isRefused = line !== "";
      refuse(line);
    };
    const consider = async () => {
      // A line at the top says that the connection is lost; a refusal that its end has caused would be wrong.
      if (study.isConnected === false && isRefused) say("");
      if (study.isConnected === false || isAsking || !this.isNear || document.hidden || study.position === null) return;
      if (this.isEmpty(study)) return;
      const asked = question();
      if (asked === null) return;
      const address = JSON.stringify(asked);
      const isRecent = last.position === study.position || performance.now() - last.at < every;
      if (address === last.address && isRecent) return;
      isAsking = true;
      this.element.setAttribute("aria-busy", "true");
      const isNew = address !== last.address;
      const patience = setTimeout(() => this.element.classList.toggle("asking", isNew), SOON);
      const { position } = study;
      last = { address, position, at: performance.now() };
      try {
        const answer = await ask(...asked);
        last.position = Math.min(position, answer.position ?? position); // an older answer: the question is asked again
        say("");
        draw(answer, asked);
      } catch (problem) {
        say(lineOf(problem));
        last.position = null; // asked again later, even if the study does not change
      } finally {
        clearTimeout(patience);
        isAsking = false;
        this.element.classList.remove("asking", "blank");
        this.element.removeAttribute("aria-busy");
      }
      if (JSON.stringify(question()) !== address) consider();
    };
    this._seen.push(consider);
    setInterval(consider, 1000);
    return consider;
  }
}
