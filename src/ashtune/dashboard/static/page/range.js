// Which values of a metric an axis shows, and where on an axis a value stands.
//
// A few results that are far worse than the others would press all else flat.

import { isNumber } from "./text.js";

const FEW = 8;
/** Results worse than this share of all are left out of the view if they would stretch it by more than `STRETCH`. */
const WORST = 0.15;
const STRETCH = 3;
/** From so large a ratio of its ends on an axis of positive values is logarithmic. */
const WIDE = 80;
const PADDING = 0.06;

/**
 * Return the range of an axis: `{low, high, isLog, beyond}`, with how many of the values lie beyond it.
 *
 * @param values Of the metric; what is no finite number is left out.
 * @param mode "max" or "min": which way is better.
 * @param worst The share of all that may be left out, where the best are to be told apart.
 */
export function metricRange(values, mode, worst = WORST) {
  const sorted = values.filter(isNumber).sort((a, b) => a - b);
  if (!sorted.length) return { low: 0, high: 1, isLog: false, beyond: 0 };
  let [low, high] = [sorted[0], sorted.at(-1)];
  const edge = sorted[Math.floor((mode === "min" ? 1 - worst : worst) * (sorted.length - 1))];
  const kept = mode === "min" ? edge - low : high - edge;
  if (sorted.length > FEW && kept > 0 && high - low > STRETCH * kept) {
    if (mode === "min") high = edge + 0.3 * kept;
    else low = edge - 0.3 * kept;
  }
  const beyond = sorted.filter((value) => value < low || value > high).length;
  return { ...padded(low, high), beyond };
}

/** Return two ends with a little room beyond them, and whether the axis is logarithmic. */
function padded(low, high) {
  if (low > 0 && high / low > WIDE) {
    const room = (high / low) ** PADDING;
    return { low: low / room, high: high * room, isLog: true };
  }
  const room = PADDING * (high - low || Math.abs(high) || 1);
  return { low: low - room, high: high + room, isLog: false };
}

/** Return a place on an axis, 0 at its low end and 1 at its high end; below 0 or above 1 for values beyond. */
export function placeOn({ low, high, isLog }, value) {
  if (isLog) return Math.log(Math.max(value, 1e-300) / low) / Math.log(high / low);
  return high > low ? (value - low) / (high - low) : 0.5;
}

/** Return the value at a place on an axis: the inverse of `placeOn`. */
export function valueAt({ low, high, isLog }, place) {
  return isLog ? low * (high / low) ** place : low + place * (high - low);
}

/** Return a number from -1 to 1 that depends on the trial alone: marks of one choice shall not hide each other. */
export function scattered(trial) {
  return ((trial * 2654435761) % 2 ** 32) / 2 ** 31 - 1;
}
