// The list of all studies of a folder, each with a link to its page.

import { studyLink, table } from "../page/dom.js";
import { countText, secondsText } from "../page/text.js";

/** @param {Summary[]} studies */
export function tableOfStudies(studies) {
  return table(
    "Studies",
    ["study", "state", "began", "goal", "trials", "result", "time"],
    studies.map((each) => [
      studyLink(each.id, each.directory),
      each.state,
      each.began,
      each.goal,
      countText(each.tried),
      each.result,
      secondsText(each.wall_seconds),
    ]),
  );
}
