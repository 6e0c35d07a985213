// The trials that the reader has chosen to compare. They are in the page's address.

import { keep, kept } from "../page/address.js";

/** The largest number of chosen trials. The page's colours have one for each. */
export const MOST = 8;
export const FULL = `At most ${MOST} trials are compared; remove one first.`;
const PARAMETER = "chosen";
const listeners = [];
/** A trial keeps its place, and so its colour, while others come and go: a free place is null. */
export let places = placesIn(kept(PARAMETER));

/** Return the places in a parameter of the address. @returns {(number | null)[]} */
export function placesIn(parameter) {
  const texts = parameter.split("-").slice(0, MOST);
  const trials = texts.map((text) => (/^\d{1,9}$/.test(text) ? Number(text) : null));
  return trials.map((trial, place) => (trials.indexOf(trial) === place ? trial : null));
}

/** Return the chosen trials in the order of their places. */
export function chosenTrials() {
  return /** @type {number[]} */ (places.filter((trial) => trial !== null));
}

export function isChosen(trial) {
  return places.includes(trial);
}

export function isFull() {
  return chosenTrials().length >= MOST;
}

/** Return the name of a chosen trial's colour; see `token`. */
export function colorOf(trial) {
  return `--chosen-${places.indexOf(trial)}`;
}

/** Choose a trial at the first free place, or remove it. If all places are taken, nothing changes. */
export function choose(trial, isIn = !isChosen(trial)) {
  if (!Number.isInteger(trial) || isIn === isChosen(trial) || (isIn && isFull())) return;
  const next = [...places];
  const free = next.indexOf(null);
  next[isIn ? (free < 0 ? next.length : free) : next.indexOf(trial)] = isIn ? trial : null;
  chooseOnly(next);
}

/** Choose these trials and no others. @param {(number | null)[]} trials */
export function chooseOnly(trials) {
  places = trials.slice(0, trials.findLastIndex((trial) => trial !== null) + 1);
  for (const listener of listeners) listener();
  keep({ [PARAMETER]: places.join("-") });
}

/** Call a function whenever the chosen trials change. */
export function onChosen(listener) {
  listeners.push(listener);
}
