// The colours: light or dark, as the system has it or as the reader chooses; and those of rungs and categories.
//
// Rule: colour never says anything alone: names, positions or texts say it too.

import { set } from "./dom.js";

const RAMP = ["#4262c9", "#2f8fc4", "#2aa39a", "#6bb04f", "#d9a62e", "#e27a35", "#cf4a5c"];
const THEMES = ["system", "light", "dark"];
const KEPT_AS = "ashtune theme";
const listeners = new Set();
let tokens = new Map();

/** The colours of things without an order. */
export const CATEGORIES = ["#3f7fd1", "#e08a2c", "#3fa66b", "#8f6fc9", "#d4505f", "#8a94a3"];

/** What share of their time the workers did what: a colour and a name for each. */
export const STATES = {
  training: ["#3f7fd1", "training"],
  failed: ["#7a2e3a", "training that failed"],
  saving: ["#3fa66b", "saving"],
  compiling: ["#8f6fc9", "compiling programs"],
  driver: ["#e08a2c", "waiting for the driver"],
  barrier: ["#d4505f", "waiting for other trials"],
  waiting: ["#e08a2c", "waiting"],
  tail: ["#8a94a3", "idle at the end"],
};

/** Return the value of a custom property of the page, as `token("--ink")`. */
export function token(name) {
  if (!tokens.has(name)) tokens.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  return tokens.get(name);
}

/** Return the colour of rung `rung` of `count`, from blue for the lowest to red for the top. */
export function rungColor(rung, count) {
  if (rung === null || rung === undefined) return CATEGORIES[5];
  return colorOn(RAMP, count > 1 ? rung / (count - 1) : 1 / (RAMP.length - 1));
}

/** Return the colour at a share of the way through a ramp, whose colours are evenly spaced. */
export function colorOn(ramp, share) {
  const place = Math.max(0, Math.min(1, share)) * (ramp.length - 1);
  const low = Math.min(ramp.length - 2, Math.floor(place));
  return mixed(ramp[low], ramp[low + 1], place - low);
}

/** Return the red, green and blue of a colour, which is given as `#rrggbb`. */
export function channels(color) {
  return [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
}

/** Return the colour between two, both as `#rrggbb`. */
export function mixed(from, to, share) {
  const [a, b] = [channels(from), channels(to)];
  return `#${a
    .map((part, place) =>
      Math.round(part + share * (b[place] - part))
        .toString(16)
        .padStart(2, "0"),
    )
    .join("")}`;
}

/** Call a function whenever the colours have changed. Return a function that ends this. */
export function onTheme(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Let a button go through the themes: as the system has it, light, dark. */
export function switchThemesBy(button) {
  let theme = kept();
  const show = () => {
    document.documentElement.dataset.theme = theme;
    set(button, {
      text: { system: "◐", light: "☀", dark: "☾" }[theme],
      title: `Colours: ${theme}`,
      "aria-label": `Colours: ${theme}. Change`,
    });
    changed();
  };
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    keep(theme);
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  show();
}

function changed() {
  tokens = new Map();
  for (const listener of listeners) listener();
}

function kept() {
  try {
    const theme = localStorage.getItem(KEPT_AS);
    return THEMES.includes(theme) ? theme : "system";
  } catch {
    return "system"; // a browser may refuse to keep anything
  }
}

function keep(theme) {
  try {
    localStorage.setItem(KEPT_AS, theme);
  } catch {
    // the choice then holds until the page is closed
  }
}
