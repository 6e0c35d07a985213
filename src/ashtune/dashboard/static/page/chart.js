// Lines and points over two axes, drawn by uPlot: a vertical line and a text follow the pointer, dragging zooms.

import { FONT, logTicks, roundTicks } from "./canvas.js";
import { Tip } from "./figure.js";
import { onTheme, token } from "./theme.js";
import { isNumber, numberText, shortened, unitOfTime } from "./text.js";

const { uPlot } = window; // a script of its own: its authors' minified file is no module
const REACH = 26;
const steps = uPlot.paths.stepped({ align: 1 });
const lines = uPlot.paths.linear();

/**
 * @typedef Series
 * What is drawn: `x`, `y` (lists of numbers, null where there is none), `color` (a colour, or a token as
 * "--accent"), `kind` ("step", "line", "area" or "points"), `width`, `size`, `alpha`; `tip(i)` returns the
 * lines of the text at point i, `pick(i)` is called when it is clicked. Only of points may several have the same x.
 */

/**
 * @typedef Axis
 * `{label, low, high, isLog, kind, ticks}`: kind is "time" (of seconds), "share" or nothing; `ticks`, if there are any,
 * are pairs of a value and a text.
 */

export class Chart {
  /** @param place Where it goes. @param height In pixels, without the axis' label. */
  constructor(place, height = 260) {
    this._place = place;
    this._height = height;
    this._made = "";
    this._zoom = null;
    this._tip = new Tip(place);
    this._observer = new ResizeObserver(() => this._fit());
    this._observer.observe(place);
    this._forget = onTheme(() => this._chart?.redraw());
  }

  /** Draw these series; it may be called as often as they change. */
  draw(series, x, y) {
    this._series = series;
    [this._x, this._y] = [x, y];
    const lined = series.filter((each) => each.kind !== "points");
    const made = JSON.stringify([
      lined.map(({ kind, color, width, alpha }) => [kind, color, width, alpha]),
      x.isLog,
      y.isLog,
      x.label,
      y.label,
    ]);
    const data = aligned(lined, x);
    if (made !== this._made) this._make(lined, made, data);
    else this._chart.setData(data);
  }

  /** Let go of it, when its place is removed. */
  destroy() {
    this._observer.disconnect();
    this._forget();
    this._chart?.destroy();
  }

  _make(lined, made, data) {
    this._made = made;
    this._chart?.destroy();
    const options = {
      width: this._width(),
      height: this._height,
      padding: [10, 12, 0, 0],
      legend: { show: false },
      scales: {
        x: { time: false, distr: this._x.isLog ? 3 : 1, range: () => this._zoom ?? [this._x.low, this._x.high] },
        y: { distr: this._y.isLog ? 3 : 1, range: () => [this._y.low, this._y.high] },
      },
      axes: [this._axis(() => this._x, 0), this._axis(() => this._y, 1)],
      series: [{}, ...(lined.length ? lined.map(uplotSeries) : [{ show: false }])],
      cursor: {
        x: true,
        y: false,
        points: { show: false },
        drag: { x: true, y: false, setScale: false },
        bind: {
          dblclick: (chart, target, handler) => (event) => {
            this._zoom = null;
            return handler(event);
          },
        },
      },
      hooks: { drawAxes: [(chart) => this._paintPoints(chart)], setSelect: [(chart) => this._zoomIn(chart)] },
    };
    this._chart = new uPlot(options, data, this._place);
    const over = this._chart.over;
    over.addEventListener("mousemove", (event) => this._point(event));
    over.addEventListener("mouseleave", () => this._tip.hide());
    over.addEventListener("click", (event) => this._pick(event));
  }

  _axis(of, side) {
    const long = (chart) => (side ? chart.bbox.height : chart.bbox.width) / devicePixelRatio;
    const ticks = (chart, low, high) => ticksOf(of(), low, high, long(chart), side ? 22 : 0);
    return {
      stroke: () => token("--quiet"),
      font: `12px ${FONT}`,
      labelFont: `12px ${FONT}`,
      label: shortened(of().label, 70) || undefined,
      labelSize: 18,
      labelGap: 0,
      gap: 5,
      size: side ? (chart, values) => 16 + 6.6 * Math.max(3, ...(values ?? []).map((value) => value.length)) : 26,
      grid: { stroke: () => token("--grid"), width: 1 },
      ticks: { show: false },
      splits: (chart, axis, low, high) => ticks(chart, low, high).map(([at]) => at),
      values: (chart, splits) => {
        const { min, max } = chart.scales[side ? "y" : "x"];
        const texts = new Map(ticks(chart, min, max));
        return splits.map((at) => texts.get(at) ?? "");
      },
      filter: (chart, splits) => splits,
    };
  }

  _paintPoints(chart) {
    const context = chart.ctx;
    const { left, top, width, height } = chart.bbox;
    context.save();
    context.beginPath();
    context.rect(left, top, width, height);
    context.clip();
    for (const series of this._series.filter((each) => each.kind === "points")) {
      const radius = ((series.size ?? 5) / 2) * devicePixelRatio;
      context.fillStyle = colorOf(series.color);
      context.globalAlpha = series.alpha ?? 0.7;
      for (let at = 0; at < series.x.length; at += 1) {
        if (!isNumber(series.x[at]) || !isNumber(series.y[at])) continue;
        context.beginPath();
        context.arc(
          chart.valToPos(series.x[at], "x", true),
          chart.valToPos(series.y[at], "y", true),
          radius,
          0,
          2 * Math.PI,
        );
        context.fill();
      }
    }
    context.restore();
  }

  _zoomIn(chart) {
    const { left, width } = chart.select;
    if (width < 5) return;
    this._zoom = [chart.posToVal(left, "x"), chart.posToVal(left + width, "x")];
    chart.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    chart.setScale("x", { min: this._zoom[0], max: this._zoom[1] });
  }

  /** Return the series and the point nearest to the pointer, if one is near. */
  _nearest(event) {
    const box = this._chart.over.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let best = null;
    for (const series of this._series) {
      if (!series.tip) continue;
      for (let at = 0; at < series.x.length; at += 1) {
        if (!isNumber(series.x[at]) || !isNumber(series.y[at])) continue;
        const left = this._chart.valToPos(series.x[at], "x");
        const top = this._chart.valToPos(series.y[at], "y");
        const far = Math.hypot(left - x, top - y);
        if (far < (best?.far ?? REACH)) best = { far, series, at, left, top };
      }
    }
    return best;
  }

  _point(event) {
    const near = this._nearest(event);
    this._chart.over.classList.toggle("pickable", Boolean(near?.series.pick));
    if (near === null) {
      this._tip.hide();
      return;
    }
    const [box, place] = [this._chart.over.getBoundingClientRect(), this._place.getBoundingClientRect()];
    this._tip.show(near.left + box.left - place.left, near.top + box.top - place.top, near.series.tip(near.at));
  }

  _pick(event) {
    const near = this._nearest(event);
    near?.series.pick?.(near.at);
  }

  _width() {
    return Math.max(120, this._place.clientWidth);
  }

  _fit() {
    if (this._chart && this._chart.width !== this._width())
      this._chart.setSize({ width: this._width(), height: this._height });
  }
}

function uplotSeries({ kind, color, width = 2, alpha = 1 }) {
  return {
    alpha,
    width: kind === "area" ? 1 : width,
    stroke: () => colorOf(color),
    spanGaps: true,
    points: { show: false },
    paths: kind === "step" ? steps : lines,
    fill: kind === "area" ? () => `${colorOf(color)}44` : undefined,
  };
}

/** Return one list of x for all lines, and the y of each line at these, undefined where it has none. */
function aligned(lined, x) {
  const all = new Set([x.low, x.high]);
  for (const series of lined) for (const at of series.x) if (isNumber(at)) all.add(at);
  const sorted = [...all].sort((a, b) => a - b);
  const place = new Map(sorted.map((at, number) => [at, number]));
  const columns = lined.map((series) => {
    const column = new Array(sorted.length).fill(undefined);
    series.x.forEach((at, number) => {
      if (isNumber(at) && isNumber(series.y[number])) column[place.get(at)] = series.y[number];
    });
    return column;
  });
  return [sorted, ...(columns.length ? columns : [new Array(sorted.length).fill(null)])];
}

/**
 * Return the ticks of an axis between two values: pairs of a value and a text.
 *
 * @param long How many pixels the axis has. @param each How many a tick needs; 0: as many as its text does.
 */
function ticksOf(axis, low, high, long, each) {
  if (!isNumber(low) || !isNumber(high)) return [];
  if (axis.ticks)
    return thinned(
      axis.ticks.filter(([at]) => at >= low && at <= high),
      long,
      each,
    );
  const count = long / (each ? 2 * each : 64);
  if (axis.kind === "time") {
    const [unit] = unitOfTime(axis.high);
    return roundTicks(low / unit, high / unit, count).map((at) => [at * unit, numberText(at)]);
  }
  if (axis.kind === "share")
    return roundTicks(low, high, Math.min(count, 5)).map((at) => [at, `${Math.round(100 * at)} %`]);
  const ticks = axis.isLog ? logTicks(low, high) : roundTicks(low, high, count);
  return thinned(
    ticks.map((at) => [at, numberText(at)]),
    long,
    each,
  );
}

/** Return every tick, every second one, or every third one ..., so that their texts do not touch. */
function thinned(ticks, long, each) {
  const wide = each || 14 + 6.6 * Math.max(1, ...ticks.map(([, text]) => text.length));
  const step = Math.max(1, Math.ceil((ticks.length * wide) / (long + wide)));
  return ticks.filter((tick, number) => number % step === 0);
}

function colorOf(color) {
  return color.startsWith("--") ? token(color) : color;
}

/** Return the axis of a time in seconds. @param label What it is the time of; the unit is added. */
export function timeAxis(high, label, low = 0) {
  return { kind: "time", low, high: Math.max(high, low + 0.01), label: `${label} (${unitOfTime(high)[1]})` };
}

/** Return the axis of the resource, over all of the rungs and the curves, with a tick where it begins and at each rung. */
export function resourceAxis(rungs, unit, curves) {
  const low = Math.min(rungs[0] ?? Infinity, ...curves.flatMap(({ resource }) => resource));
  const high = rungs.at(-1) ?? Math.max(...curves.flatMap(({ resource }) => resource));
  const room = (high / low) ** 0.03 || 1.05;
  const ticks = [...new Set([low, ...rungs])].map((at) => [at, numberText(at)]);
  return { isLog: high / low > 4, low: high / low > 4 ? low / room : 0, high: high * room, ticks, label: `${unit}s` };
}

/** Return the axis of a metric, from what `metricRange` returns. */
export function metricAxis(range, metric) {
  return { isLog: range.isLog, low: range.low, high: range.high, label: metric };
}
