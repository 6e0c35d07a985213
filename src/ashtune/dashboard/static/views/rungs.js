// Results in the colours of their rungs.

import { openTrial } from "../page/dom.js";
import { plural } from "../page/text.js";
import { rungColor } from "../page/theme.js";

/** Return a legend's entries. @param {Rung[]} rungs @returns {LegendEntry[]} */
export function rungLegend(rungs, unit) {
  return rungs.map((rung, number) => [rungColor(number, rungs.length), `to ${plural(rung.resource, unit)}`]);
}

/**
 * Return a series of points for each rung.
 *
 * @param {Rung[]} rungs
 * @param {{ x: Numbers, y: Numbers, rung: number[], trial: number[] }} results
 * @param tip Returns the lines of the text at a result.
 * @returns {Series[]}
 */
export function pointsByRung(rungs, unit, results, tip) {
  const { x, y, rung, trial } = results;
  return rungLegend(rungs, unit).map(([color, label], number) => {
    const places = [...rung.keys()].filter((place) => rung[place] === number);
    return {
      kind: "points",
      color,
      label,
      x: places.map((place) => x[place]),
      y: places.map((place) => y[place]),
      tip: (at) => tip(places[at]),
      pick: (at) => openTrial(trial[places[at]]),
    };
  });
}
