// A section of the page. It is drawn and asks questions only while it is on the screen or near it.

import { lineOf } from "../study/ask.js";
import { SAVED } from "../study/saved.js";
import { element, setText } from "./dom.js";
import { isNumber, plural } from "./text.js";

/** On a saved page all sections are near, so that they can be printed. */
const NEAR = SAVED ? "1000000px" : "200px";
/** Least milliseconds before a question is asked again while the study changes. */
const EVERY = 15000;
/** Milliseconds without an answer before the section says that the answer is being computed. */
const SOON = 800;
const LACKING = "The server could not make this part. Anything below is out of date.";

/**
 * Return a section.
 *
 * @param study The study that it shows.
 * @param id Id of its element, the target of links.
 * @param title Its heading.
 * @param lead A sentence below the heading, or "".
 * @param short Its name in the navigation, or "" to leave it out.
 * @param {"h1" | "h2"} level The element of its heading.
 */
export function newSection(study, id, title, lead = "", short = title, level = "h2") {
  let isNear = false;
  /** What to do when the section comes near the screen. @type {(() => void)[]} */
  const seen = [];
  const lacking = element("p.remark.bad", { hidden: true }, LACKING);
  const section = {
    id,
    short,
    title: element(level, { id: `${id}-title` }, title),
    lead: element("p.lead", lead),
    remark: element("p.remark.quiet", { hidden: true }),
    body: element("div.body"),
    element: element("section.blank", { id, "aria-labelledby": `${id}-title`, tabindex: -1 }),

    /** Whether there is nothing to show; such a section is hidden. A section that needs more than a study replaces it. */
    isEmpty: () => !study.isThere,

    /** Show a text below the heading, or remove it. */
    say(text) {
      setText(section.remark, text);
      section.remark.hidden = !text;
    },

    /**
     * Draw these parts of the study when they have changed and the section is near the screen.
     *
     * @returns A function that draws again when the section is near the screen and all parts are available.
     */
    drawWhenSeen(names, draw) {
      let isDrawn = true;
      const go = () => {
        if (isDrawn || !isNear || !study.has(names)) return;
        isDrawn = true;
        lacking.hidden = true;
        section.element.classList.remove("blank");
        draw(study.parts);
      };
      const again = () => {
        isDrawn = false;
        go();
      };
      study.on(names, again, () => {
        lacking.hidden = false;
        section.element.classList.remove("blank");
      });
      seen.push(go);
      return again;
    },

    /**
     * Ask a question when the section is first seen, and again while the study changes.
     *
     * @param question Returns the arguments of `ask`, or null if there is nothing to ask.
     * @param draw Called with the answer and its question, because the current question may be another one by then.
     * @param options `every`: milliseconds; `refuse`: called with the line of a refusal, and with "" after an answer; `ask`.
     * @returns A function that asks at once if the question has changed.
     */
    askWhenSeen(question, draw, { every = EVERY, refuse = section.say, ask = study.ask } = {}) {
      /** @type {{ address: string, position: number | null, at: number }} */
      let last = { address: "", position: null, at: -Infinity };
      let isAsking = false;
      let isRefused = false;
      const say = (line) => {
        isRefused = line !== "";
        refuse(line);
      };
      const consider = async () => {
        const { isConnected, position } = study;
        // A line at the top says that the connection is lost; a refusal that its end has caused would be wrong.
        if (!isConnected && isRefused) say("");
        if (!isConnected || isAsking || !isNear || document.hidden || position === null || section.isEmpty()) return;
        const asked = question();
        if (asked === null) return;
        const address = JSON.stringify(asked);
        const isNew = address !== last.address;
        const isRecent = last.position === position || performance.now() - last.at < every;
        if (!isNew && isRecent) return;
        isAsking = true;
        section.element.ariaBusy = "true";
        const patience = setTimeout(() => section.element.classList.toggle("asking", isNew), SOON);
        last = { address, position, at: performance.now() };
        try {
          const answer = await ask(...asked);
          last.position = Math.min(position, answer.position ?? position); // an older answer: the question is asked again
          say("");
          draw(answer, asked);
          setText(extent, isNumber(answer.tried) ? `of ${plural(answer.tried, "trial")}` : "");
        } catch (problem) {
          say(lineOf(problem));
          last.position = null; // asked again later, even if the study does not change
        } finally {
          clearTimeout(patience);
          isAsking = false;
          section.element.classList.remove("asking", "blank");
          section.element.ariaBusy = null;
        }
        if (JSON.stringify(question()) !== address) consider();
      };
      seen.push(consider);
      setInterval(consider, 1000);
      return consider;
    },
  };
  /** Of how many trials the answer is: the study may have more by now. */
  const extent = element("span.quiet");
  const working = element("span.working.quiet", { "aria-hidden": "true" }, "being computed …");
  const heading = element("div.heading", section.title, extent, working);
  section.element.append(heading, ...(lead ? [section.lead] : []), section.remark, lacking, section.body);
  new IntersectionObserver(
    (entries) => {
      isNear = entries[entries.length - 1].isIntersecting; // several may have come at once, the latest last
      if (isNear) for (const listener of seen) listener();
    },
    { rootMargin: NEAR },
  ).observe(section.element);
  return section;
}
