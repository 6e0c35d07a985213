// What the server sends to the page, and what the page's figures are given. For the type checker only: it is not served.
// tests/javascript/test_types.py compares the parts with what the server makes of an empty study.

type Numbers = (number | null)[];
/** The value of a hyperparameter: a number, a text, a truth value or a list. */
type Value = unknown;
/** With `digits` significant digits, values of trials can be told apart. */
type Goal = { metric: string; mode: "min" | "max"; digits: number };

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
    resource: number;
    metrics: Record<string, number | null>;
    configuration: Record<string, unknown>;
    margin: string;
    /** What the best is in a study of several objectives: "knee of the front"; "" with one objective. */
    chosen: string;
    compared: string;
  } | null;
  utilisation: number | null;
  workers: number;
  busy: number | null;
  remaining: { done: string; seconds: number | null };
  quiet_seconds: number;
  control: boolean;
  paused: boolean;
  is_reading: number;
  simulated: boolean;
}


interface LadderPart {
  resources: number[];
  figure: FigureValue;
  quota_text: string;
}


interface BestPart {
  over_time: FigureValue;
  over_resource: FigureValue;
}


interface WorkersPart {
  lanes: number;
  timeline: FigureValue;
  shares: FigureValue;
  /** Shares of the workers' time without training, by their names. */
  rest: Record<string, number>;
}



interface CurvesPart {
  figure: FigureValue;
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
  began: string;
  goal: string;
  result: string;
  wall_seconds: number;
  best: number | null;
  metric: string;
  mode: "min" | "max";
  tried: number;
}

interface Weight {
  name: string;
  weight: number;
  error: number;
}

/** Answers to questions, by the last part of their address. */
interface Answers {
  advice: { advice: { title: string; text: string }[] };
  importance: {
    figure: FigureValue;
    weights: Weight[];
    text: string;
  };
  slices: { panels: Record<string, FigureValue>; colors: Record<string, string>; notes: string[] };
  parallel: { figure: CoordinatesValue };
  contour: { figure: FigureValue };
  audit: { text: string[]; notes: string[]; rungs: Record<string, number | string | null>[] };
  whatif: { predictions: Prediction[]; text: string[] };
  report: { sections: ReportSection[] };
  trials: {
    total: number;
    matching: number;
    /** How many of the trials are in a saved page. */
    saved?: number;
    columns: string[];
    metrics: string[];
    rows: TrialRow[];
    statuses: Record<string, number>;
    origins: Record<string, number>;
  };
  trial: TrialAnswer;
}


type Span = { low: number; likely: number; high: number };

interface Prediction {
  scheduler: string;
  reduction_factor: string;
  workers: number;
  wall_seconds: Span;
  utilisation: number;
  best: Span | null;
  figure: FigureValue;
}

/** See ashtune._src.reports.html. */
interface Block {
  texts?: string[];
  is_bad?: boolean;
  columns?: string[];
  rows?: string[][];
  bold?: number[];
  figures?: Record<string, FigureValue>;
}

interface ReportSection {
  title: string;
  blocks: Block[];
}

interface TrialRow {
  trial: number;
  status: string;
  resource: number;
  value: number | null;
  metrics: Record<string, number | null>;
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
  curves: Record<string, FigureValue>;
  log: string;
  log_is_cut: boolean;
  checkpoints: { resource: number; bytes: number }[];
  history: { time: number; text: string }[];
}

interface Comparison {
  over_time: FigureValue;
  over_resource: FigureValue;
  table: (Summary & { unit: string; epochs: number; wall_seconds: number; utilisation: number | null })[];
}

/** See ashtune._src.figures.figure, also of the next ones. */
interface Axis {
  name: string;
  title: string;
  low: number;
  high: number;
  isLog: boolean;
  written: "number" | "count" | "seconds" | "share";
  unit: number;
  digits: number;
  ticks: number[];
  choices: string[];
}

interface Series {
  kind: "line" | "step" | "points" | "bars" | "ranges" | "flows" | "texts";
  x: Numbers;
  y: Numbers;
  end?: number[];
  color: string;
  pattern?: string;
  name?: string;
  trials?: Numbers;
  words?: string[];
  symbol?: "circle" | "cross" | "star" | "diamond";
  size?: number;
  width?: number;
  thick?: number;
  alpha?: number;
  isRimmed?: boolean;
  isSilent?: boolean;
}

interface FigureValue {
  x: Axis;
  y: Axis;
  series: Series[];
  cells: { x: number[]; y: number[]; rows: Numbers[]; scale: Axis; colors: [string, string] } | null;
  notes: string[];
  height: number;
}

interface CoordinatesValue {
  axes: Axis[];
  lines: Numbers[];
  trials: number[];
  places: number[];
  colors: string[];
  total: number;
  notes: string[];
}

/** A colour, a name, and a shape: "line", "dot", "rimmed", or a pattern. */
type LegendEntry = [color: string, name: string, shape?: string];

/** A mood, which colours it, a word and a sentence. */
interface ReaderAnswer {
  mood: "good" | "fair" | "bad" | "none";
  word: string;
  text: string;
}
