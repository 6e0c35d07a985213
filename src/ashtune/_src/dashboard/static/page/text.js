// Numbers as text for people, in the same form as in the terminal and the report.

/** Return a time in at most two units: `0.42 s`, `42 s`, `4 min 02 s`, `3 h 05 min`. */
export function secondsText(seconds) {
  if (!isNumber(seconds)) return "unknown";
  if (seconds < 9.95) return seconds < 0.995 ? `${seconds.toFixed(2)} s` : `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 48 * 3600) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86400)} d ${two(Math.floor((whole % 86400) / 3600))} h`;
}

/** Return an estimated time in one unit: `40 s`, `4 min`, `3 h`. */
export function roughSecondsText(seconds) {
  if (!isNumber(seconds)) return "unknown";
  if (seconds < 90) return seconds < 10 ? `${Math.max(1, Math.round(seconds))} s` : `${5 * Math.round(seconds / 5)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Number((seconds / 3600).toPrecision(2))} h`;
  return `${Number((seconds / 86400).toPrecision(2))} d`;
}

function two(number) {
  return String(number).padStart(2, "0");
}

/** Return a size in powers of 1000: `812 bytes`, `1.2 MB`. */
export function bytesText(size) {
  if (!isNumber(size)) return "unknown";
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return unit === 0 || size >= 99.5 ? `${size.toFixed(0)} ${units[unit]}` : `${size.toFixed(1)} ${units[unit]}`;
}

/** Return a share of 1 in per cent. `100 %` means exactly all, `0 %` exactly nothing. */
export function shareText(share) {
  if (!isNumber(share)) return "unknown";
  let percent = Math.round(100 * share);
  if (percent === 100 && share < 1) percent = 99;
  return percent === 0 && share > 0 ? "<1 %" : `${percent} %`;
}

/** Return a metric or hyperparameter as a short text: `0.9866`, `1.2e-5`, `12,000`. */
export function numberText(value, digits = 4) {
  if (!isNumber(value)) return "none";
  const [rounded, size] = [Number(value.toPrecision(digits)), Math.abs(value)];
  if (Number.isInteger(rounded) && size < 1e7) return countText(Number.isInteger(value) ? value : rounded);
  return Math.abs(rounded) < 1e-4 || size >= 1e7 ? rounded.toExponential().replace("e+", "e") : String(rounded);
}

/** Return a whole number with commas. */
export function countText(value) {
  return isNumber(value) ? value.toLocaleString("en-US", { maximumFractionDigits: 0 }) : "unknown";
}

/** Return `1 trial`, `2 trials`, `1,000 trials`. */
export function plural(count, noun) {
  return `${countText(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Return the value of a hyperparameter as text. */
export function valueText(value) {
  if (value === null || value === undefined) return "not active";
  if (typeof value === "number") return numberText(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Return values as texts that differ where the values differ, of numbers with as few digits as that takes. */
export function textsApart(values) {
  const all = values.map((value) => JSON.stringify(value ?? null));
  for (let digits = 4; digits <= 17; digits += 1) {
    const texts = values.map((value) => (isNumber(value) ? numberText(value, digits) : shortened(valueText(value), 40)));
    if (new Set(texts).size === new Set(all).size) return texts;
  }
  return all;
}

/** Control characters, marks that change the direction of writing, and what XML forbids; without line ends and tabs. */
const UNSEEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ufffe\uffff]/g;

/** Return a text with such characters escaped, as in the terminal, so that the reader can see them. */
export function visible(text) {
  return text.replace(UNSEEN, (each) => {
    const code = each.charCodeAt(0).toString(16);
    return code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`;
  });
}

/** Return a text on one line of at most `width` characters. */
export function shortened(text, width) {
  const line = visible(String(text ?? ""))
    .split(/\s+/)
    .join(" ")
    .trim();
  return line.length <= width ? line : `${line.slice(0, Math.max(1, width - 1))}…`;
}

/** Return the words separated by commas, with "and" before the last one. */
export function listed(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/** Return the texts that are not empty with a dot between them. */
export function joined(...texts) {
  return texts.filter(Boolean).join(" · ");
}

/** Return a text with its first letter in upper case. */
export function capital(text) {
  return text ? text[0].toUpperCase() + text.slice(1) : "";
}

/** Return whether a value is a finite number. @returns {value is number} */
export function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}
