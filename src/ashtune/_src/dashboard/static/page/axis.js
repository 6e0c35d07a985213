// Axes: the position of a value on an axis, and the texts of its ticks. The server defines the axis.

import { countText, isNumber, numberText, secondsText, shareText, shortened, textsApart } from "./text.js";

const CHARACTER = 6.6;
/** The room below the least value, as a share of the axis. */
const AIR = 0.04;
const LOGARITHMIC = " (logarithmic)";
const WRITTEN = { number: numberText, count: countText, seconds: secondsText, share: shareText };

/** Return a value of an axis as a text. @param {Axis} axis @param {number | null} value */
export function textOn({ choices, written, digits }, value) {
  if (!isNumber(value)) return "off";
  if (choices.length) return choices[Math.max(0, Math.min(choices.length - 1, Math.round(value)))];
  return WRITTEN[written](value, digits);
}

/** Return the position of a value on an axis: 0 at its low end, 1 at its high end, or beyond. @param {Axis} axis */
export function placeOn({ low, high, isLog }, value) {
  if (isLog) return Math.log(Math.max(value, 1e-300) / low) / Math.log(high / low);
  return high === low ? 0.5 : (value - low) / (high - low);
}

/** Return the value at a position on an axis: the inverse of `placeOn`. @param {Axis} axis */
export function valueAt({ low, high, isLog }, place) {
  return isLog ? low * (high / low) ** place : low + place * (high - low);
}

/**
 * Return the ticks of an axis: pairs of a value and a text, at most as many as fit.
 *
 * @param {Axis} axis
 * @param room The length of the axis in pixels. @param each Pixels per tick; 0: the width of its text.
 * @returns {[number, string][]}
 */
export function ticksOf(axis, room, each = 0) {
  const { choices, unit, written } = axis;
  const isTime = written === "seconds" && (unit !== 1 || !axis.ticks.length);
  const isNumeric = isTime || (written === "number" && !choices.length);
  const round = axis.isLog && axis.high > 5 * axis.low ? logTicks(axis) : roundTicks(axis, room / (1.6 * each || 64));
  const ticks = axis.ticks.length ? axis.ticks : round;
  const [low, high] = [Math.min(axis.low, axis.high), Math.max(axis.low, axis.high)];
  const inside = ticks.filter((at) => at >= low && at <= high);
  // Ticks that are close together, far from 0, need more digits than a single value.
  const texts = isNumeric
    ? textsApart(inside.map((at) => (isTime ? at / unit : at)))
    : inside.map((at) => shortened(textOn(axis, at), each ? 24 : 14));
  const named = inside.map((at, place) => /** @type {[number, string]} */ ([at, texts[place]]));
  const wide = each || 14 + CHARACTER * Math.max(1, ...named.map(([, words]) => words.length));
  const step = Math.max(1, Math.ceil((named.length * wide) / (room + wide)));
  let last = -Infinity; // the position of the last tick, in pixels: ticks of a logarithmic axis may be close together
  return named.filter(([at], number) => {
    const place = room * placeOn(axis, at);
    const isFar = number % step === 0 && Math.abs(place - last) >= 0.6 * wide;
    if (isFar) last = place;
    return isFar;
  });
}

/** Return an axis with another scale. @param {Axis} axis @param least The least value on it. */
export function scaled(axis, isLog, least) {
  if (axis.isLog === isLog) return axis;
  const name = (axis.title || axis.name).replace(LOGARITHMIC, "");
  const low = valueAt({ ...axis, isLog, low: least }, -AIR);
  return { ...axis, isLog, title: isLog ? name + LOGARITHMIC : name, low, ticks: [] };
}

/** Return 1, 2 and 5 times powers of ten, or powers of ten on a wide axis. @param {Axis} axis */
function logTicks({ low, high, unit }) {
  const [first, last] = [low, high].map((end) => Math.floor(Math.log10(end / unit)));
  const steps = high / low < 300 ? [1, 2, 5] : [1];
  const powers = Array.from({ length: last - first + 1 }, (_, place) => first + place);
  return powers.flatMap((power) => steps.map((step) => Number(`${step}e${power}`) * unit));
}

/** Return about `count` round numbers on a linear axis, at least two. @param {Axis} axis */
export function roundTicks(axis, count) {
  const { low, high, unit, written } = axis;
  const ticks = [];
  const rough = Math.max((high - low) / unit / Math.max(1, count), Number(written === "count"));
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((part) => part * power >= rough * 0.999) ?? 10);
  if (low / unit + step === low / unit || high / unit + step === high / unit) return [low, high]; // beyond the digits of a number
  for (let at = Math.ceil(low / unit / step - 1e-9) * step; at <= high / unit + step * 1e-9; at += step)
    ticks.push(Number(at.toPrecision(12)) * unit);
  return ticks.length < 2 && count < 10 ? roundTicks(axis, count + 1) : ticks;
}
