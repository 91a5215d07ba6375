// The form of gpu-check.json.
import { stages } from './stages.mjs';

export const FORMAT = 1;

const text = (value) => typeof value === 'string';
const number = (value) => typeof value === 'number' && Number.isFinite(value);
const flag = (value) => typeof value === 'boolean';
const list = (value) => Array.isArray(value);
const orNull = (check) => (value) => value === null || check(value);
const optional = (check) => (value) => value === undefined || check(value);

const reportFields = {
  format: (value) => value === FORMAT,
  date: text,
  mode: (value) => ['card', 'no card', 'self-test'].includes(value),
  quick: flag,
  machine: (value) => typeof value === 'object' && value !== null,
  stages: list,
  passed: number,
  failed: number,
  skipped: number,
};

const stageFields = {
  name: (value) => stages.some(({ name }) => name === value),
  status: (value) => ['ok', 'failed', 'skipped'].includes(value),
  reason: orNull(text),
  seconds: number,
  limit: number,
  started: text,
  rows: list,
  said: text,
};

/** Of the rows of each stage. */
const rowFields = {
  versions: { card: orNull(text), driver: orNull(text), usable: flag, processor: text, node: text, threads: number },
  'device tests': { tests: number, failed: list, skipped: list, seconds: number },
  memcheck: { tool: text, tests: number, summary: orNull(text) },
  racecheck: { tool: text, tests: number, summary: orNull(text) },
  // NaN, which JSON does not have, becomes null.
  parity: { subject: text, arithmetic: text, measure: text, value: orNull(number), tolerance: number, passed: flag },
  evaluation: {
    arm: optional(text),
    network: optional(text),
    batch: optional(number),
    milliseconds: optional(number),
    error: optional(text),
  },
  update: { where: text, name: text, batch: number, microseconds: number, gigabytesPerSecond: number },
  overhead: {
    network: text,
    batch: number,
    steps: number,
    wholeMicrosecondsPerStep: number,
    watchedMicrosecondsPerStep: number,
  },
};

function checkFields(where, object, fields) {
  for (const [name, check] of Object.entries(fields)) {
    if (!check(object[name])) throw new Error(`gpu-check.json: ${where}.${name} is ${JSON.stringify(object[name])}`);
  }
}

/** Throws unless the report is one. */
export function checkReport(report) {
  checkFields('report', report, reportFields);
  for (const stage of report.stages) {
    checkFields(stage.name, stage, stageFields);
    for (const row of stage.rows) checkFields(stage.name, row, rowFields[stage.name]);
  }
}
