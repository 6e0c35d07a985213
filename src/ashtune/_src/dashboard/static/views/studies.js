// The list of all studies of a folder, each with a link to its page.

import { element, table } from "../page/dom.js";
import { countText, secondsText, shortened } from "../page/text.js";

/** @param {Summary[]} studies */
export function tableOfStudies(studies) {
  return table(
    "Studies",
    ["study", "state", "began", "goal", "trials", "result", "time"],
    studies.map((each) => [
      element("a", { href: `?study=${encodeURIComponent(each.id)}`, "data-key": `study ${each.id}` }, shortened(each.directory, 60)),
      each.state,
      each.began,
      each.goal,
      countText(each.tried),
      each.result,
      secondsText(each.wall_seconds),
    ]),
  );
}
