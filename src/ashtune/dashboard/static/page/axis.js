// Axes: which values one shows, where a value stands on it, and what its ticks say.
//
// A few results that are far worse than the others would press all else flat: they lie beyond an axis of a metric.

import { isNumber, numberText, shareText, shortened, unitOfTime, valueText } from "./text.js";

const FEW = 8;
/** Results worse than this share of all are left out of the view if they would stretch it by more than `STRETCH`. */
const WORST = 0.15;
const STRETCH = 3;
/** From so large a ratio of its ends on an axis of positive values is logarithmic. */
const WIDE = 80;
const PADDING = 0.06;
const CHARACTER = 6.6;

/**
 * Return the axis of a metric, with how many of the values lie beyond it.
 *
 * @param {Numbers} values Of the metric; what is no finite number is left out.
 * @param {Goal} goal The metric, and which way is better.
 * @param worst The share of all that may be left out, where the best are to be told apart.
 * @returns {Axis & { beyond: number }}
 */
export function metricAxis(values, { metric, mode }, worst = WORST) {
  const sorted = values.filter(isNumber).sort((a, b) => a - b);
  if (!sorted.length) return { ...numberAxis(metric, 0, 1), beyond: 0 };
  let [low, high] = [sorted[0], sorted[sorted.length - 1]];
  const edge = sorted[Math.floor((mode === "min" ? 1 - worst : worst) * (sorted.length - 1))];
  const kept = mode === "min" ? edge - low : high - edge;
  if (sorted.length > FEW && kept > 0 && high - low > STRETCH * kept) {
    if (mode === "min") high = edge + 0.3 * kept;
    else low = edge - 0.3 * kept;
  }
  const beyond = sorted.filter((value) => value < low || value > high).length;
  return { ...padded(numberAxis(metric, low, high, low > 0 && high / low > WIDE)), beyond };
}

/** Return an axis of numbers. @param {string} label @param {number} low @param {number} high @returns {Axis} */
export function numberAxis(label, low, high, isLog = false) {
  return { label, low, high, isLog: isLog && low > 0, text: numberText };
}

/** Return the axis of a time in seconds. @param label What it is the time of; the unit is added. @returns {Axis} */
export function timeAxis(high, label, low = 0) {
  const { unit, name } = unitOfTime(high);
  const text = (at) => numberText(at / unit);
  return { label: `${label} (${name})`, low, high: Math.max(high, low + 0.01), unit, text };
}

/** Return the axis of a share of all. @returns {Axis} */
export function shareAxis() {
  return { label: "", low: 0, high: 1, ticks: [0, 0.25, 0.5, 0.75, 1], text: shareText };
}

/** Return the axis of the resource, over all of the rungs and the curves, with a tick where it begins and at each rung. */
export function resourceAxis(rungs, unit, curves) {
  const all = [...rungs, ...curves.flatMap(({ resource }) => resource)];
  const [low, high] = [Math.min(...all), rungs.at(-1) ?? Math.max(...all)];
  const axis = { ...numberAxis(`${unit}s`, low, high, high / low > 4), ticks: [...new Set([low, ...rungs])] };
  return { ...padded(axis), ...(axis.isLog ? {} : { low: 0 }) };
}

/** Return the axis of a hyperparameter, as it is drawn: choices by their places. @param {HyperparameterAxis} of */
export function hyperparameterAxis({ name, choices, low, high, log: isLog }) {
  const axis = choices.length
    ? namedAxis(name, choices.map(valueText))
    : numberAxis(name, low, high > low ? high : low + 1, isLog);
  return { ...axis, text: (at) => (isNumber(at) ? axis.text(at) : "not active") };
}

/** Return an axis of names, each at its place from 0 on. @returns {Axis} */
export function namedAxis(label, choices) {
  const text = (at) => choices[Math.max(0, Math.min(choices.length - 1, Math.round(at)))];
  return { label, low: -0.5, high: choices.length - 0.5, choices, ticks: [...choices.keys()], text };
}

/** Return an axis with a little room beyond its ends. @template {Axis} A @param {A} axis @returns {A} */
export function padded(axis) {
  const { low, high, isLog, choices } = axis;
  if (choices) return axis;
  if (isLog) {
    const room = Math.max(1.001, (high / low) ** PADDING);
    return { ...axis, low: low / room, high: high * room };
  }
  const room = PADDING * (high - low || Math.abs(high) || 1);
  return { ...axis, low: low - room, high: high + room };
}

/** Return a place on an axis, 0 at its low end and 1 at its high end; below 0 or above 1 for values beyond. @param {Axis} axis */
export function placeOn({ low, high, isLog }, value) {
  if (isLog) return Math.log(Math.max(value, 1e-300) / low) / Math.log(high / low);
  return high === low ? 0.5 : (value - low) / (high - low);
}

/** Return the value at a place on an axis: the inverse of `placeOn`. @param {Axis} axis */
export function valueAt({ low, high, isLog }, place) {
  return isLog ? low * (high / low) ** place : low + place * (high - low);
}

/**
 * Return the ticks of an axis: pairs of a value and a text, no more than there is room for.
 *
 * @param {Axis} axis
 * @param room How many pixels the axis has. @param each How many a tick needs; 0: as many as its text does.
 * @returns {[number, string][]}
 */
export function ticksOf(axis, room, each = 0) {
  const ticks = axis.ticks ?? roundTicks(axis, room / (2 * each || 64));
  const [low, high] = [Math.min(axis.low, axis.high), Math.max(axis.low, axis.high)];
  const named = ticks
    .filter((at) => at >= low && at <= high)
    .map((at) => /** @type {[number, string]} */ ([at, shortened(axis.text(at), each ? 24 : 14)]));
  const wide = each || 14 + CHARACTER * Math.max(1, ...named.map(([, text]) => text.length));
  const step = Math.max(1, Math.ceil((named.length * wide) / (room + wide)));
  return named.filter((_, number) => number % step === 0);
}

/** Return about `count` round numbers on an axis; of a logarithmic one powers of ten, or its ends. @param {Axis} axis */
export function roundTicks({ low, high, isLog, unit = 1 }, count) {
  const ticks = [];
  if (isLog) {
    for (let power = Math.ceil(Math.log10(low) - 1e-9); power <= Math.log10(high) + 1e-9; power += 1)
      ticks.push(Number(`1e${power}`)); // which is exact where 10 ** power is not
    return ticks.length > 1 ? ticks : [low, high];
  }
  const rough = (high - low) / unit / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((part) => part * power >= rough * 0.999) ?? 10);
  for (let at = Math.ceil(low / unit / step - 1e-9) * step; at <= high / unit + step * 1e-9; at += step)
    ticks.push(Number(at.toPrecision(12)) * unit);
  return ticks;
}

/** Return a number from -1 to 1 that depends on the trial alone: marks of one choice shall not hide each other. */
export function scattered(trial) {
  return ((trial * 2654435761) % 2 ** 32) / 2 ** 31 - 1;
}
