// The colours of the rungs, named.

import { plural } from "../page/text.js";
import { rungColor } from "../page/theme.js";

/** Return a legend's entries. @param rungs Those of the part "ladder". @param word Before each, as "to ". */
export function rungLegend(rungs, unit, word = "") {
  return rungs.map((rung, number) => [rungColor(number, rungs.length), `${word}${plural(rung.resource, unit)}`]);
}
