// The rung ladder as it fills: a bar for each rung, and what was promoted from each to the next.
//
// A bar is, from the left: trials that were promoted (solid), trials that stay (pale), trials that train now (striped).
// Behind it is a dashed frame as long as the number expected in the end.

import { TRIALS } from "../looks.js";
import { namedAxis, numberAxis, roundTicks } from "../page/axis.js";
import { setText } from "../page/dom.js";
import { Figure } from "../page/figure.js";
import { Section } from "../page/section.js";
import { countText, isNumber, numberText, plural, secondsText } from "../page/text.js";
import { rungColor } from "../page/theme.js";

const NARROW = 680;
/** Of more rungs the bars are thinner. */
const MANY = 12;
/** What is expected is drawn to at most so many times of what is there: bars of a young study would be too short. */
const FAR = 4;

export function ladder(study) {
  const section = new Section("ladder", "The ladder", "Each trial starts at the lowest rung.", "Ladder");
  const figure = new Figure();
  section.body.append(figure.element);
  section.drawWhenSeen(study, ["ladder", "head"], ({ ladder: { rungs, quota_text: text }, head: { unit } }) => {
    setText(section.lead, `Each trial starts at the lowest rung. ${text}`);
    drawLadder(figure, rungs, unit);
    figure.describe(
      `The rung ladder: ${rungs.map((rung) => `${plural(rung.resource, unit)}: arrived ${textsOf(rung).join(", ")}`).join("; ")}`,
    );
    figure.data(() => ladderTable(rungs, unit));
  });
  return section;
}

/** @param {Figure} figure @param {Rung[]} rungs */
function drawLadder(figure, rungs, unit) {
  const isMany = rungs.length > MANY;
  const there = Math.max(1, ...rungs.map((rung) => rung.arrived + (rung.running ?? 0)));
  const expected = rungs.map((rung) => rung.expected ?? 0);
  const most = Math.max(there, Math.min(FAR * there, Math.max(...expected)));
  const y = [...rungs.keys()];
  const thick = isMany ? 14 : 22;
  const color = (rung) => rungColor(rung, rungs.length);
  const bars = { kind: "bars", y, thick, color };
  const tip = (rung) => [plural(rungs[rung].resource, unit), ...textsOf(rungs[rung])];
  const arrived = rungs.map((rung) => rung.arrived);
  const promoted = rungs.map((rung) => rung.promoted);
  const running = rungs.map((rung) => rung.arrived + (rung.running ?? 0));
  const x = numberAxis("", 0, most); // beyond which the texts stand
  const zeros = rungs.map(() => 0);
  figure.draw(
    [
      { ...bars, kind: "flows", x: promoted, end: running.slice(1), alpha: 0.25 },
      {
        ...bars,
        kind: "frames",
        color: "--quiet",
        x: zeros,
        end: expected.map((count) => Math.min(most, count)),
      },
      { ...bars, x: zeros, end: arrived, alpha: 0.4, tip },
      { ...bars, x: zeros, end: promoted },
      { ...bars, x: arrived, end: running, pattern: () => TRIALS.running.pattern, tip },
      { ...bars, kind: "texts", x: zeros, lines: (rung) => textsOf(rungs[rung]) },
    ],
    { ...x, high: most / (figure.plot.clientWidth < NARROW ? 0.45 : 0.7), ticks: roundTicks(x, 6) },
    namedAxis(
      "",
      rungs.map((rung) => plural(rung.resource, unit)),
    ),
    60 + (isMany ? 26 : 46) * rungs.length,
  );
  figure.legend([
    [color(0), TRIALS.promoted.name],
    [color(0), TRIALS.paused.name, "pale"],
    [color(0), TRIALS.running.name, TRIALS.running.pattern],
    ["--quiet", "expected in the end", "ghost"],
  ]);
}

/** Return two lines of text beside a bar. @param {Rung} rung */
function textsOf(rung) {
  const expected = isNumber(rung.expected) ? ` (expected ${rung.expected_text})` : "";
  const more = [
    rung.promoted > 0 && `${countText(rung.promoted)} promoted`,
    isNumber(rung.running) && rung.running > 0 && `${countText(rung.running)} running`,
    rung.failed > 0 && `${countText(rung.failed)} failed`,
    isNumber(rung.best) && `best ${numberText(rung.best)}`,
  ];
  return [`${countText(rung.arrived)}${expected}`, more.filter(Boolean).join(" · ")];
}

/** @param {Rung[]} rungs */
function ladderTable(rungs, unit) {
  const columns = ["expected", "arrived", "running", "promoted", "failed", "best", "median", "middle half", "time"];
  const rows = rungs.map((rung) => [
    countText(rung.resource),
    rung.expected_text,
    countText(rung.arrived),
    countText(rung.running),
    countText(rung.promoted),
    countText(rung.failed),
    isNumber(rung.best) ? numberText(rung.best) : "",
    rung.quartiles ? numberText(rung.quartiles[1]) : "",
    rung.quartiles ? `${numberText(rung.quartiles[0])} to ${numberText(rung.quartiles[2])}` : "",
    isNumber(rung.seconds) ? secondsText(rung.seconds) : "",
  ]);
  return [[unit, ...columns], rows.reverse()];
}
