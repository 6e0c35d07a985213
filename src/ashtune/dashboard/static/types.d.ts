// What the server sends to the page, and what the page's figures are given. For the type checker only: it is not served.
// tests/javascript/test_types.py compares the parts with what the server makes of an empty study.

type Numbers = (number | null)[];
/** The value of a hyperparameter: a number, a text, a truth value or a list. */
type Value = unknown;
type Goal = { metric: string; mode: "min" | "max" };

/** The parts of a study, by name. One that the server cannot make is null; views are told of whole ones only. */
interface Parts {
  head: HeadPart;
  ladder: LadderPart;
  best: BestPart;
  workers: WorkersPart;
  curves: CurvesPart;
  failures: FailuresPart;
  notes: NotesPart;
  space: SpacePart;
}

/** A snapshot of all parts, or those that have changed; the position is how far the journal is read, in bytes. */
interface Change {
  position: number;
  parts: Partial<Parts>;
}

interface HeadPart {
  name: string;
  directory: string;
  unit: string;
  scheduler: string;
  search: string;
  objectives: Goal[];
  state: "reading" | "running" | "complete" | "stopped" | "died" | "quiet" | "missing" | "unreadable";
  state_text: string;
  problem: string;
  now: number;
  wall_seconds: number;
  started: number;
  tried: number;
  failed: number;
  withdrawn: number;
  running: number | null;
  trials_wanted: number | null;
  epochs: number;
  sessions: number;
  best: {
    trial: number;
    rung: number;
    resource: number;
    metrics: Record<string, number | null>;
    origin: string;
  } | null;
  utilisation: number | null;
  workers: number;
  busy: number | null;
  remaining: { done: string; text: string; seconds: number | null };
  driver: { host: string; pid: number; is_alive: boolean | null; quiet_seconds: number };
  control: boolean;
  paused: boolean;
  is_reading: number;
  catching_up: number;
}

interface Rung {
  resource: number;
  arrived: number;
  running: number | null;
  promoted: number;
  expected: number | null;
  expected_text: string;
  failed: number;
  withdrawn: number;
  best: number | null;
  quartiles: number[] | null;
  seconds: number | null;
}

interface LadderPart {
  rungs: Rung[];
  quota_text: string;
}

/** Steps of the best value so far, by metric; `time` is in seconds that the study ran, `resource` of all trials. */
interface Steps {
  time?: number[];
  resource?: number[];
  values: Record<string, Numbers>;
  trial: number[];
  rung: number[];
}

interface BestPart {
  over_time: Steps & { time: number[] };
  over_time_at_highest: Steps & { time: number[] };
  over_resource: Steps & { resource: number[] };
  over_resource_at_highest: Steps & { resource: number[] };
  results: { time: number[]; value: Numbers; rung: number[]; trial: number[] };
}

/** The latest stretches of work, a list a field; kind 0 is training, 1 saving, 2 compiling. */
interface Spans {
  lane: number[];
  begin: number[];
  end: number[];
  kind: number[];
  rung: Numbers;
  trial: Numbers;
  ending: string[];
}

interface WorkersPart {
  window: [number, number];
  lanes: { worker: number; host: string; place: number; is_there: boolean }[];
  left_out: number;
  spans: Spans;
  utilisation: { time: number[]; share: Numbers };
  shares: Record<string, number | null>;
}

interface Curve {
  resource: number[];
  value: Numbers;
}

interface TrialCurve extends Curve {
  trial: number;
  kind?: "best" | "sampled";
}

interface CurvesPart {
  curves: TrialCurve[];
  metric: string;
}

interface FailureGroup {
  kind: "failed" | "withdrawn" | "lost";
  reason: string;
  count: number;
  trial: number | null;
  rung: number | null;
  traceback: string;
  in_common: string;
}

interface FailuresPart {
  groups: FailureGroup[];
  total: number;
}

interface NotesPart {
  scheduler: string;
  search: string;
  sources: Record<string, number>;
  promoted_share: Record<string, number | null>;
  why: { time: number; text: string }[];
}

interface Hyperparameter {
  name: string;
  type: "float" | "integer" | "choice" | "ordinal" | "constant" | "unknown";
  low: number | null;
  high: number | null;
  log: boolean;
  choices: Value[];
}

interface SpacePart {
  hyperparameters: Hyperparameter[];
}

/** A study in the list of those that are watched. */
interface Summary {
  id: number;
  name: string;
  directory: string;
  state: HeadPart["state"];
  best: number | null;
  metric: string;
  mode: "min" | "max";
  tried: number;
}

interface Weight {
  name: string;
  weight: number | null;
  error: number | null;
}

/** Answers to questions, by the last part of their address. */
interface Answers {
  importance: {
    weights: Weight[];
    explained: number | null;
    is_meaningful: boolean;
    text: string;
    among_best: string;
    results: number;
  };
  slices: {
    metric: string;
    panels: (HyperparameterAxis & { x: Numbers; y: Numbers; rung: number[]; trial: number[] })[];
  };
  parallel: {
    axes: HyperparameterAxis[];
    lines: Numbers[];
    values: Numbers;
    trials: number[];
    rungs: number[];
    metric: string;
    mode: "min" | "max";
  };
  contour: {
    x: HyperparameterAxis;
    y: HyperparameterAxis;
    grid: Numbers[];
    points: { x: Numbers; y: Numbers; value: Numbers; trial: number[] };
    metric: string;
    mode: "min" | "max";
    text: string;
  };
  audit: { text: string[]; notes: string[]; rungs: Record<string, number | string | null>[] };
  whatif: { predictions: Prediction[]; text: string[] };
  trials: {
    total: number;
    matching: number;
    columns: string[];
    rows: TrialRow[];
    statuses: Record<string, number>;
    origins: Record<string, number>;
  };
  trial: TrialAnswer;
}

interface HyperparameterAxis {
  name: string;
  log: boolean;
  choices: Value[];
  low: number;
  high: number;
}

type Span = { low: number; likely: number; high: number };

interface Prediction {
  scheduler: string;
  reduction_factor: string;
  workers: number;
  wall_seconds: Span;
  utilisation: number;
  best: Span | null;
}

interface TrialRow {
  trial: number;
  status: string;
  resource: number;
  value: number | null;
  seconds: number | null;
  reason: string;
  configuration: Record<string, Value>;
}

interface TrialAnswer {
  position: number;
  trial: number;
  status: string;
  rung: number | null;
  resource: number;
  seconds: number;
  reason: string;
  metrics: Record<string, number | null>;
  origin: string;
  traceback: string;
  configuration: { name: string; value: Value; best_value: Value }[];
  curve: Record<string, Curve>;
  best_curve: Record<string, Curve>;
  log: string;
  log_is_cut: boolean;
  checkpoints: { resource: number; bytes: number }[];
  history: { time: number; text: string }[];
}

interface Comparison {
  series: (Summary & {
    over_time: { time: number[]; value: Numbers };
    over_resource: { resource: number[]; value: Numbers };
  })[];
  table: (Summary & { epochs: number; wall_seconds: number; utilisation: number | null })[];
}

/** An axis from `low` to `high`; the two may be swapped. `ticks` are its ticks if they are not round numbers. */
interface Axis {
  low: number;
  high: number;
  isLog?: boolean;
  label: string;
  /** The value of one step of the unit in which ticks are counted, as 60 for minutes. */
  unit?: number;
  ticks?: number[];
  choices?: string[];
  /** How many values lie beyond the ends. */
  beyond?: number;
  text(value: number | null): string;
}

/** The colour of a mark, or of each of several; "--accent" and the like are tokens of the page. */
type Color = string | ((point: number) => string);

/**
 * What is drawn in a figure: lists of numbers, null where there is none. Bars go from `x` to `end` and are `thick`
 * pixels high; a picture fills the figure. `label` is its name in the legend, `tip` returns the lines of the text at a
 * point, `pick` is called when a point is clicked.
 */
interface Series {
  kind: "line" | "step" | "area" | "points" | "bars" | "frames" | "flows" | "texts" | "picture";
  x: Numbers;
  y: Numbers;
  end?: Numbers;
  color: Color;
  pattern?: (point: number) => string;
  picture?: HTMLCanvasElement;
  label?: string;
  width?: number;
  alpha?: number;
  size?: number;
  thick?: number;
  isRimmed?: boolean;
  lines?: (point: number) => string[];
  tip?: (point: number) => (string | false)[];
  pick?: (point: number) => void;
}

/** A colour, a name, and a shape: "line", "pale", "ghost", or a pattern. */
type LegendEntry = [color: string, name: string, shape?: string];

/** A mood, which colours it, a word and a sentence. */
interface ReaderAnswer {
  mood: "good" | "fair" | "bad" | "none";
  word: string;
  text: string;
}

/** Made by ashtune.reports.looks. */
declare module "*/looks.js" {
  type Look = { name: string; color: string; pattern: string };
  export const CATEGORIES: string[];
  export const SCALE: string[];
  export const PLACES: string[];
  export const GREY: string;
  export const STATES: Record<string, Look>;
  export const TRIALS: Record<"promoted" | "paused" | "failed" | "running", Look>;
}

declare const Plotly: any;
