// The state that Python and the browser exchange. Traits are those of the widget classes in elekit/widgets.

export interface Model<State> {
  get<Key extends keyof State>(name: Key): State[Key];
  set<Key extends keyof State>(name: Key, value: State[Key]): void;
  save_changes(): void;
  send(message: { do: string; with: object }): void;
  on(event: string, callback: (message?: unknown, buffers?: unknown) => void): void;
  off(event: string, callback: (message?: unknown, buffers?: unknown) => void): void;
}

export interface View<State> {
  model: Model<State>;
  el: HTMLElement;
}

export type Point = [x: number, y: number];
/** Nodes i < j and a value: a label, a price or a share. */
export type PairValue = [i: number, j: number, value: number];

/** `elekit.draw.scenes.palette`; the label "absent" or "no edge" (channel 0) is left out of every list. */
export interface Palette {
  nodes: string[];
  colors: string[];
  vertices: number[];
  edges: string[];
  strokes: number[] | null;
  arrows: number[];
  written: string[] | null;
}

/** A bond i < j and the center of the ring that it is in. */
export type Center = [i: number, j: number, x: number, y: number];

/** `elekit.draw.scenes.scene`: one rounded graph. */
export interface Scene {
  nodes: number[];
  edges: PairValue[];
  positions: Point[];
  centers: Center[];
}

/** A node, a pair of nodes, or neither (the whole graph). */
export interface Part {
  node?: number;
  pair?: [number, number];
}

export interface Halo {
  color: string;
  width?: number;
  dashed?: boolean;
  title?: string;
  words?: string;
  /** Parts with the largest weights get labels first. */
  weight?: number;
}

/** Halos by node and by pair number. */
export interface Halos {
  nodes: Map<number, Halo>;
  pairs: Map<number, Halo>;
}

export interface Problem {
  problem: string;
  health: string;
}

export interface Drawn extends Problem {
  palette: Palette;
}

// -- stepper --------------------------------------------------------------------------------------------------

/** Part (one node or two), kind of `looks`, size, words. */
export type Mark = [part: [number] | [number, number], kind: string, size: number, words: string];

export interface RunState {
  name: string;
  slots: number;
  iterations: number[];
  stopped: string;
  names: string[];
  summaries: string[];
  readings: string[];
  numbers: string[][];
  relaxed: (number | null)[];
  rounded: (number | null)[];
  layouts: Point[][];
  centers: Center[][];
  laid: number[];
  marks: Mark[][];
}

export interface StepperPalette extends Palette {
  looks: Record<string, [color: string, dashed: boolean, words: string]>;
  numbers: [name: string, meaning: string][];
  ghosts: number;
}

export interface PredictionSet {
  says: string;
  graphs: { scene: Scene; words: string; name: string }[];
}

export interface StepperState extends Problem {
  palette: StepperPalette;
  step: number;
  playing: boolean;
  speed: number;
  show: "gradient" | "none";
  last: number;
  across: number[];
  runs: RunState[];
  numbers: DataView;
  truth_scene: Partial<Scene>;
  doubt: string;
  found: Partial<PredictionSet>;
}

// -- triplets -------------------------------------------------------------------------------------------------

export interface TripletsState extends Drawn {
  question: { number: number } & Partial<Record<"anchor" | "left" | "right", { scene: Scene; name: string }>>;
  progress: string[];
}

// -- explorer -------------------------------------------------------------------------------------------------

export interface Entry {
  row: number;
  name: string;
  id: string;
}

export interface GraphCard extends Entry {
  scene: Scene;
  facts: string[];
  text: string;
  trust?: string;
}

/** `elekit.widgets.alignment.aligned`. */
export interface Aligned {
  scene: Scene;
  marks: [part: number[], kind: "gone" | "changed" | "new"][];
  edits: string[];
  words: string;
}

export interface NeighborCard extends Entry {
  scene: Scene;
  loss: string;
  raw: string;
  shared: boolean;
  way?: "nearer" | "farther" | "";
  rank?: string;
}

export interface GraphPanelState extends Drawn {
  kinds: string[];
  found: { kind: string; text: string; words: string; shown: Entry[]; serial: number };
  hovered: Partial<GraphCard>;
  pinned: Partial<GraphCard>;
  neighbors: { words: string; lists: { heading: string; cards: NeighborCard[] }[] };
  edits: Record<number, Aligned>;
  baselines: string[];
  baseline: string;
  moved: { words: string; shown: (Entry & { share: string })[] };
}

export interface Legend {
  classes: { color: string; words: string; count: number }[];
  ramp: string[];
  numbers: string[];
}

export interface MapMarks {
  dots: { kind: string; at: Point; number: number }[];
  lines: { kind: string; points: Point[] }[];
}

export interface MapPanelState extends Drawn {
  columns: string[];
  color_by: string;
  legend: Legend;
  selected: string;
  any_selected: boolean;
  trust: string;
  offers: [method: string, label: string][];
  busy: string;
  progress: [started: number, expected: number];
  alternative: string;
  marks: MapMarks[];
  painted: number[];
  combine: string;
  groups: { level: number; at: Point; name: string }[];
  cameras: number[][];
  pictures: Record<string, Scene>;
  paper: string;
  sides: string[];
  shapes: number[];
  grows: boolean;
}

/** `elekit.widgets.selecting.distribution`: of numbers, or of classes. */
export interface Distribution {
  edges?: number[];
  all: number[];
  selected: number[];
  unknown: number;
  classes?: [name: string, count: number, selected: number][];
  more: number;
}

export interface SelectPanelState extends Drawn {
  columns: string[];
  column: string;
  distribution: Distribution;
  special: { feature: string; share: number; elsewhere: number }[];
  against: string;
  verdict: string;
  tags: { name: string; count: number }[];
  note_of: string;
  note: string;
  colors: string;
  palettes: string[];
  formats: string[];
  session: string;
  done: string;
}

/** The part of regl-scatterplot that the explorer uses; jupyter-scatter keeps it in `.api` of an element. */
export interface Plot {
  get(name: "isDestroyed"): boolean;
  get(name: "points"): number[][] | undefined;
  get(name: "cameraView"): ArrayLike<number> | undefined;
  get(name: "mouseMode"): string;
  get(name: "renderer"): { canvas: HTMLCanvasElement; resize(width: number, height: number): void };
  get(name: "camera"): {
    scale(factor: number, at: Point): void;
    setScaleBounds(bounds: [low: number, high: number]): void;
  };
  set(options: {
    cameraDistance?: number;
    aspectRatio?: number;
    cameraView?: Float32Array;
    width?: "auto";
    height?: "auto";
  }): void;
  subscribe(event: string, callback: (value: number) => void, times?: number): void;
  unsubscribe(event: string, callback: (value: number) => void): void;
  redraw(): void;
  reset(): void;
}

export type PlotElement = HTMLElement & { api: Plot };

// -- inspector ------------------------------------------------------------------------------------------------

/** `elekit.widgets.inspector_io.roomy_scene`: also where added nodes go, null for absent nodes. */
export interface RoomyScene extends Scene {
  spots: (Point | null)[];
}

/** `elekit.widgets.inspector_io.columns`: one entry of each list per edit. */
export interface EditTable {
  step: number;
  edit: string[];
  kind: string[];
  price: number[];
  change: number[];
  valid: boolean[];
  connected: boolean[];
  priced: boolean[];
  node: number[];
  label: number[];
  pair: ([number, number] | null)[];
  edge: number[];
}

export interface Heat {
  nodes: (number | null)[];
  pairs: PairValue[];
  low: number;
  high: number;
  ramp: string[];
}

export interface PartShares {
  nodes: (number | null)[];
  pairs: PairValue[];
  part: string[];
  share: number[];
  error: number[];
}

export interface KnownGraph {
  row: number;
  name: string;
  loss: number;
  place: Point;
  scene: Scene;
}

/** By how much a second loss changes prices. */
export interface Comparison {
  names: [first: string, second: string];
  other: number[];
  difference: number[];
  nodes: (number | null)[];
  pairs: PairValue[];
}

export interface InspectorState extends Drawn {
  at: number;
  view: "price" | "shares" | "comparison";
  valid_only: boolean;
  picked: Part;
  scene: RoomyScene;
  anchor_scene: RoomyScene;
  anchor_name: string;
  molecular: boolean;
  table: EditTable;
  heat: Heat;
  loss: number;
  steps: string[];
  path: { places: Point[]; anchor: Point };
  context: number[];
  map_note: string;
  neighbors: KnownGraph[];
  separations: (Aligned | Record<string, never>)[];
  unit: number;
  unit_words: string;
  comparison: Partial<Comparison>;
  shares: Partial<{ graph: PartShares; anchor: PartShares; loss: number }>;
}
