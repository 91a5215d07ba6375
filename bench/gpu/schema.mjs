// The form of gpu-check.json.
import { stages } from './stages.mjs';

export const FORMAT = 2;

const text = (value) => typeof value === 'string';
const number = (value) => typeof value === 'number' && Number.isFinite(value);
const flag = (value) => typeof value === 'boolean';
const list = (value) => Array.isArray(value);
const object = (value) => typeof value === 'object' && value !== null;
const orNull = (check) => (value) => value === null || check(value);
const optional = (check) => (value) => value === undefined || check(value);
const oneOf =
  (...values) =>
  (value) =>
    values.includes(value);

const reportFields = {
  format: oneOf(FORMAT),
  date: text,
  mode: oneOf('card', 'no card', 'self-test'),
  quick: flag,
  machine: object,
  stages: list,
  passed: number,
  failed: number,
  skipped: number,
};

const stageFields = {
  name: (value) => stages.some(({ name }) => name === value),
  status: oneOf('ok', 'failed', 'skipped'),
  reason: orNull(text),
  cutOff: flag,
  seconds: number,
  limit: number,
  started: text,
  build: orNull(text),
  rows: list,
  strange: list,
  said: text,
};

/** The findings of clocks.mjs while a row was measured, and the device's counts of graphs. */
const circumstances = {
  clocks: optional(object),
  captures: optional(number),
  captureFailures: optional(number),
  planningSeconds: optional(number),
};
const sanitized = { tool: text, suite: text, tests: number, summary: orNull(text) };
const timed = {
  arm: optional(text),
  network: optional(text),
  batch: optional(number),
  milliseconds: optional(number),
  fastest: optional(number),
  preparedIn: optional(number),
  error: optional(text),
  ...circumstances,
};

/** The schemas of the rows of each stage. */
const rowFields = {
  versions: { card: orNull(text), driver: orNull(text), usable: flag, processor: text, node: text, threads: number },
  'device tests': {
    suite: text,
    tests: number,
    failed: list,
    skipped: list,
    seconds: number,
    graphs: optional(number),
  },
  products: {
    problem: (value) => text(value) || number(value) || object(value),
    batch: number,
    // Where the library has nothing for a problem, a row that is `refused` says why.
    kind: oneOf('joined', 'joined fallback', 'bare', 'attention', 'own', 'own small', 'refused'),
    type: optional(text),
    candidate: optional((value) => text(value) || number(value)),
    engine: optional((value) => text(value) || number(value)),
    knobs: optional(text),
    partsLeft: optional(text),
    packed: optional(flag),
    workspaceBytes: optional(number),
    right: optional(flag),
    // Over the largest number of the output; NaN becomes null.
    relativeError: optional(orNull(number)),
    microseconds: optional(orNull(number)),
    error: optional(orNull(text)),
    ...circumstances,
  },
  // NaN, which JSON does not have, becomes null.
  parity: { subject: text, arithmetic: text, measure: text, value: orNull(number), tolerance: number, passed: flag },
  sequences: { network: text, dtype: text, place: number, batch: number, differing: number },
  evaluation: timed,
  'compiled peers': timed,
  train: timed,
  operations: {
    operation: text,
    family: text,
    case: number,
    microseconds: number,
    rate: number,
    unit: oneOf('GFLOP/s', 'GB/s'),
    ...circumstances,
  },
  profile: {
    network: text,
    batch: number,
    layer: optional(text),
    op: optional(text),
    kernel: optional(text),
    tool: optional(orNull(text)),
    microseconds: optional(number),
    reason: optional(text),
    ...circumstances,
  },
  overhead: {
    network: text,
    batch: number,
    steps: number,
    wholeMicrosecondsPerStep: number,
    watchedMicrosecondsPerStep: number,
    ...circumstances,
  },
  update: {
    where: text,
    name: text,
    batch: number,
    microseconds: number,
    gigabytesPerSecond: number,
    ...circumstances,
  },
  memcheck: sanitized,
  racecheck: sanitized,
  synccheck: sanitized,
  initcheck: sanitized,
};

/** The first wrong field, or null. */
function firstProblem(where, value, fields) {
  const wrong = Object.entries(fields).find(([name, check]) => !check(value[name]));
  return wrong === undefined ? null : `${where}.${wrong[0]} is ${JSON.stringify(value[wrong[0]])}`;
}

/** The fault of a row, or null. */
export const problemOf = (stage, row) => firstProblem(stage, row, rowFields[stage] ?? {});

/** The fault of a report, or null. */
export function problemOfReport(report) {
  const problem = firstProblem('report', report, reportFields);
  if (problem !== null) return problem;
  const problems = report.stages.flatMap((stage) => [
    firstProblem(stage.name, stage, stageFields),
    ...stage.rows.map((row) => problemOf(stage.name, row)),
  ]);
  return problems.find((each) => each !== null) ?? null;
}
