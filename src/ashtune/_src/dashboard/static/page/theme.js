// The colours of the page, light or dark, as set by the system or by the reader; and patterns.
//
// Rule: colour alone carries no meaning: patterns, names, positions or texts show the same.

import { element, set } from "./dom.js";

/** The themes, and the sign of each. */
const THEMES = { system: "◐", light: "☀", dark: "☾" };
const KEPT_AS = "ashtune theme";
/** Patterns by plotly's names, as strokes on a tile. */
export const STROKES = {
  "/": "M-2 2L2-2M0 8L8 0M6 10L10 6",
  "\\": "M-2 6L2 10M0 0L8 8M6-2L10 2",
  x: "M0 0L8 8M8 0L0 8",
  ".": "M2 2h1v1h-1zM6 6h1v1h-1z",
  "-": "M0 2H8M0 6H8",
  "|": "M2 0V8M6 0V8",
};
/** The size of a tile in pixels. */
export const TILE = 8;

/** Return the value of a custom property of the page, as `token("--ink")`. */
export function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Return the fill style of a shape on a canvas. */
export function patternOf(context, color, pattern) {
  return pattern ? context.createPattern(tileOf(color, pattern), "repeat") : color;
}

/** Return the fill of a mark of the page that has a pattern, as CSS. */
export function fillOf(color, pattern) {
  return `url(${tileOf(color, pattern).toDataURL()})`;
}

function tileOf(color, pattern) {
  const tile = element("canvas", { width: TILE, height: TILE, "data-color": color, "data-pattern": pattern });
  const context = /** @type {CanvasRenderingContext2D} */ (tile.getContext("2d"));
  context.fillStyle = context.strokeStyle = color;
  context.globalAlpha = 0.4;
  context.fillRect(0, 0, TILE, TILE);
  context.globalAlpha = 1;
  context.lineWidth = 2;
  context.stroke(new Path2D(STROKES[pattern]));
  return tile;
}

/** Make a button switch between the themes. @param changed Called when the colours have changed. */
export function switchThemesBy(button, changed) {
  const names = Object.keys(THEMES);
  let theme = keptTheme();
  const show = () => {
    document.documentElement.dataset.theme = theme;
    set(button, {
      text: THEMES[theme],
      title: `Colours: ${theme}`,
      "aria-label": `Colours: ${theme}. Change`,
    });
    changed();
  };
  button.addEventListener("click", () => {
    theme = names[(names.indexOf(theme) + 1) % names.length];
    try {
      localStorage.setItem(KEPT_AS, theme);
    } catch {
      // the choice is then valid until the page is closed
    }
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  show();
}

function keptTheme() {
  try {
    const theme = localStorage.getItem(KEPT_AS) ?? "";
    return theme in THEMES ? theme : "system";
  } catch {
    return "system"; // a browser may refuse to store anything
  }
}
