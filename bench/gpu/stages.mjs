// The stages on the card in their order, and the seconds that each may take. `call` says which of three calls a stage belongs
// to, the most valuable first, each of them at most LONGEST_SECONDS together; without one it belongs to all. `without` marks
// stages that also work without a card.
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const onTheCard = [
  { name: 'versions', script: 'versions.mjs', seconds: 60, without: true },
  { name: 'device tests', script: 'device-tests.mjs', seconds: 140, call: 1 },
  { name: 'products', script: 'products.mjs', seconds: 190, call: 1 },
  { name: 'parity', script: 'parity.mjs', seconds: 110, call: 1 },
  { name: 'sequences', script: 'sequences.mjs', seconds: 40, call: 1 },
  { name: 'operations', script: 'operations.mjs', seconds: 40, call: 1 },
  { name: 'evaluation', script: 'evaluate.mjs', parameters: ['usual'], seconds: 380, call: 2 },
  { name: 'train', script: 'train.mjs', seconds: 140, call: 2 },
  { name: 'profile', script: 'profile.mjs', seconds: 70, call: 3 },
  { name: 'overhead', script: 'overhead.mjs', seconds: 60, call: 3 },
  { name: 'update', script: 'update.mjs', seconds: 40, call: 3 },
  { name: 'memcheck', script: 'sanitizer.mjs', parameters: ['memcheck'], seconds: 70, call: 3 },
  { name: 'racecheck', script: 'sanitizer.mjs', parameters: ['racecheck'], seconds: 50, call: 3 },
  { name: 'synccheck', script: 'sanitizer.mjs', parameters: ['synccheck'], seconds: 40, call: 3 },
  { name: 'initcheck', script: 'sanitizer.mjs', parameters: ['initcheck'], seconds: 50, call: 3 },
  { name: 'compiled peers', script: 'evaluate.mjs', parameters: ['tuned'], seconds: 100, call: 3 },
];

// Tests of report.mjs bring stages that misbehave.
const others = process.env.DPM_GPU_CHECK_STAGES;

export const stages = others === undefined ? onTheCard : (await import(pathToFileURL(resolve(others)).href)).default;

export const CALLS = 3;
/** The most seconds of one call. */
export const LONGEST_SECONDS = 540;
