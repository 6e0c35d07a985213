// Failed and withdrawn trials and lost workers, by reason, with the traceback of the first one.

import { element, replaceChildren, trialLink } from "../page/dom.js";
import { newSection } from "../page/section.js";
import { countText, isNumber, plural } from "../page/text.js";
import { isFruitless } from "../study/answers.js";
import { preformatted } from "./trial.js";
import { ALL, FILTER, stateMark } from "./trials.js";

export function failures(study) {
  const section = newSection(study, "failures", "Why did these fail?", "", "Failures");
  section.isEmpty = () => study.parts.failures?.groups.length === 0;
  const list = element("ul.groups");
  section.body.append(list);
  let shown = "";
  section.drawWhenSeen(["failures", "head"], ({ failures: { groups, total }, head }) => {
    const now = JSON.stringify(groups);
    section.say(`${plural(total, "failure")} in ${plural(groups.length, "group")}, of ${plural(head.tried, "trial")} tried.`);
    if (now === shown) return;
    shown = now;
    replaceChildren(
      list,
      groups.map((group, place) => element("li", groupOf(group, study, isFruitless(head) && !place))),
    );
  });
  return section;
}

function groupOf({ kind, reason, count, trial, rung, traceback, in_common: shared }, study, isOpen) {
  const key = `${kind} ${reason}`;
  const resource = study.resources[rung];
  const where = isNumber(resource) ? ` on the way to ${plural(resource, study.unit)}` : "";
  const list = () => dispatchEvent(new CustomEvent(FILTER, { detail: { ...ALL, like: String(trial) } }));
  const all = count > 1 && kind !== "lost" && element("a.asks", { href: "#trials", "data-key": `all ${key}`, onclick: list }, "All in the table");
  const first = isNumber(trial) ? element("p.quiet", "first: ", trialLink(trial), where, " ", all) : null;
  return element(
    "article.group",
    { "data-kind": kind },
    element(
      "p",
      element("b.count", `${countText(count)} ×`),
      stateMark(kind, kind === "lost" ? "worker lost" : kind),
    ),
    element("p.reason", reason),
    shared && element("p.in-common", `${shared}.`),
    first,
    traceback &&
      element(
        "details",
        { "data-key": key, open: isOpen },
        element("summary", { "data-key": `summary ${key}` }, "Traceback"),
        preformatted(traceback, `Traceback of ${isNumber(trial) ? `trial ${trial}` : kind}`, `traceback ${key}`),
      ),
  );
}
