// The rung ladder as it fills: a bar for each rung, and what went on from each to the next.
//
// A bar is, from the left: trials that went on (solid), trials that stay (pale), trials that train now (striped).
// Behind it is a dashed frame as long as the number expected in the end. Between two bars flows what went on.

import { Figure } from "../page/figure.js";
import { set, setText, svg } from "../page/dom.js";
import { Section } from "../page/section.js";
import { rungColor } from "../page/theme.js";
import { countText, isNumber, numberText, plural, secondsText } from "../page/text.js";

const NARROW = 680;
/** Of more rungs the bars are thinner. */
const MANY = 12;
const SPARKS = 6;
/** What is expected is drawn to at most so many times of what is there: bars of a young study would be too short. */
const FAR = 4;

export function ladder(study) {
  const section = new Section("ladder", "The ladder", "Each trial starts at the lowest rung.", "Ladder");
  const figure = new Figure();
  const drawing = svg("svg", { class: "ladder" });
  figure.plot.append(drawing);
  section.body.append(figure.element);
  const steps = new Steps(drawing);
  const again = section.drawWhenSeen(study, ["ladder", "head"], ({ ladder: { rungs, quota_text: text }, head }) => {
    setText(section.lead, `Each trial starts at the lowest rung. ${text}`);
    steps.draw(rungs, figure.plot.clientWidth, head);
    const color = rungColor(0, rungs.length);
    figure.legend([
      [color, "went on"],
      [color, "stay so far", "pale"],
      [color, "train now", "stripes"],
      ...(rungs.some((rung) => isNumber(rung.expected)) ? [["var(--quiet)", "expected in the end", "ghost"]] : []),
    ]);
    figure.describe(
      `The rung ladder: ${rungs.map((rung) => `${plural(rung.resource, head.unit)}: ${longCounts(rung)}`).join("; ")}`,
    );
    figure.data(() => ladderTable(rungs, head));
  });
  new ResizeObserver(again).observe(figure.plot);
  return section;
}

/** The bars and flows of a ladder. They are made once, and move when the numbers change. */
class Steps {
  constructor(drawing) {
    this._drawing = drawing;
    this._rows = [];
  }

  draw(rungs, width, head) {
    if (!width) return;
    if (this._rows.length !== rungs.length) this._make(rungs.length);
    const layout = layoutOf(rungs, width);
    set(this._drawing, { width, height: layout.height, viewBox: `0 0 ${width} ${layout.height}` });
    rungs.forEach((rung, number) => this._place(this._rows[number], rung, rungs[number + 1], number, layout, head));
  }

  _make(count) {
    const stripes = (rung) =>
      svg(
        "pattern",
        { id: `stripes-${rung}`, width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
        svg("rect", { width: 8, height: 8, fill: rungColor(rung, count), "fill-opacity": 0.22 }),
        svg("rect", { width: 4, height: 8, fill: rungColor(rung, count), "fill-opacity": 0.85 }),
      );
    this._rows = Array.from({ length: count }, (_, rung) => {
      const color = rungColor(rung, count);
      return {
        flow: svg("path", { class: "flow", fill: color }),
        ghost: svg("path", { class: "ghost" }),
        stays: svg("rect", { class: "stays", rx: 4, fill: color }),
        went: svg("rect", { class: "went", rx: 4, fill: color }),
        running: svg("rect", { class: "training", rx: 4, fill: `url(#stripes-${rung})` }),
        name: svg("text", { class: "name" }),
        counts: svg("text", { class: "counts" }),
        more: svg("text", { class: "more" }),
        seen: null,
      };
    });
    const parts = (names) => this._rows.flatMap((row) => names.map((name) => row[name]));
    this._drawing.replaceChildren(
      svg(
        "defs",
        {},
        this._rows.map((row, rung) => stripes(rung)),
      ),
      ...parts(["flow"]),
      ...parts(["ghost", "stays", "went", "running", "name", "counts", "more"]),
    );
  }

  _place(row, rung, above, number, layout, head) {
    const { left, scale, bar } = layout;
    const y = layout.y(number);
    const long = (count) => (count > 0 ? Math.min(layout.most, Math.max(3, scale * count)) : 0);
    const arrived = long(rung.arrived);
    const at = { y, height: bar };
    set(row.ghost, { d: frame(left, y, scale * (rung.expected ?? 0), layout.most, bar) });
    set(row.stays, { ...at, x: left, width: arrived });
    set(row.went, { ...at, x: left, width: Math.min(arrived, long(rung.promoted)) });
    set(row.running, { ...at, x: left + arrived, width: long(rung.running) });
    set(row.name, { x: layout.nameAt[0], y: y + layout.nameAt[1], text: plural(rung.resource, head.unit) });
    const [counts, more] = shortCounts(rung);
    set(row.counts, { x: layout.countsAt[0], y: y + layout.countsAt[1], "text-anchor": layout.anchor, text: counts });
    set(row.more, { x: layout.moreAt[0], y: y + layout.moreAt[1], text: more });
    if (!above) return;
    const [low, high] = [y, layout.y(number + 1) + bar];
    const [wide, narrow] = [long(rung.promoted), long(above.arrived + above.running)];
    const middle = (low + high) / 2;
    const curve = `C${left + wide} ${middle} ${left + narrow} ${middle} ${left + narrow} ${high}`;
    set(row.flow, { d: wide && narrow ? `M${left} ${low}H${left + wide}${curve}H${left}Z` : "" });
    if (row.seen !== null && rung.promoted > row.seen)
      this._spark(left + wide, left + narrow, low, high, row, rung.promoted - row.seen);
    row.seen = rung.promoted;
  }

  /** Let a few points go up where trials went on just now. */
  _spark(from, to, low, high, row, count) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches || document.hidden) return;
    for (let number = 0; number < Math.min(count, SPARKS); number += 1) {
      const point = svg("circle", { r: 3, class: "spark-point", fill: row.flow.getAttribute("fill") });
      this._drawing.append(point);
      const path = [
        { transform: `translate(${from - 5}px, ${low}px)`, opacity: 1 },
        { transform: `translate(${to - 5}px, ${high}px)`, opacity: 0.3 },
      ];
      const travel = point.animate(path, { duration: 700, delay: 60 * number, easing: "ease-in-out", fill: "both" });
      travel.onfinish = () => point.remove();
    }
  }
}

/** Return the path of a frame; one that is longer than the view is open at its end. */
function frame(left, y, long, most, high) {
  if (!long) return "";
  const right = left + Math.min(long, most);
  return `M${right} ${y}H${left}V${y + high}H${right}${long > most ? "" : "Z"}`;
}

/** Return where the parts of a ladder go: beside its bars on a wide screen, above them on a narrow one. */
function layoutOf(rungs, width) {
  const isNarrow = width < NARROW;
  const left = isNarrow ? 0 : 104;
  const right = isNarrow ? 0 : 250;
  const [bar, gap] = isNarrow ? [16, 46] : rungs.length > MANY ? [14, 10] : [22, 24];
  const top = isNarrow ? 22 : 4;
  const there = Math.max(1, ...rungs.map((rung) => rung.arrived + rung.running));
  const most = Math.max(there, Math.min(FAR * there, Math.max(...rungs.map((rung) => rung.expected ?? 0))));
  const middle = bar / 2;
  return {
    left,
    bar,
    most: width - left - right - 2,
    scale: (width - left - right - 2) / most,
    height: top + rungs.length * (bar + gap) - gap + (isNarrow ? 22 : 6),
    y: (number) => top + (rungs.length - 1 - number) * (bar + gap),
    nameAt: isNarrow ? [0, -6] : [0, middle + 5],
    countsAt: isNarrow ? [width, -6] : [width - right + 16, middle - 2],
    moreAt: isNarrow ? [0, bar + 14] : [width - right + 16, middle + 14],
    anchor: isNarrow ? "end" : "start",
  };
}

/** Return two lines of text beside a bar. */
function shortCounts(rung) {
  const expected = isNumber(rung.expected) ? ` (expected ${rung.expected_text})` : "";
  const best = isNumber(rung.best) ? ` · best ${numberText(rung.best)}` : "";
  const more = [
    [rung.promoted, "went on"],
    [rung.running, "in training"],
    [rung.failed, "failed"],
  ];
  return [
    `${countText(rung.arrived)}${expected}${best}`,
    more
      .filter(([count]) => count)
      .map(([count, what]) => `${countText(count)} ${what}`)
      .join(" · "),
  ];
}

function longCounts(rung) {
  const [counts, more] = shortCounts(rung);
  return [`arrived ${counts}`, more].filter(Boolean).join(", ");
}

function ladderTable(rungs, head) {
  const columns = [
    head.unit,
    "expected",
    "arrived",
    "training",
    "went on",
    "failed",
    "best",
    "median",
    "middle half",
    "time",
  ].map((title) => ({ title }));
  const rows = [...rungs]
    .reverse()
    .map((rung) => [
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
  return [columns, rows];
}
