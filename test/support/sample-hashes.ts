// Hashes stored by test/fixtures/samples/make.ts.
import { readFileSync } from 'node:fs';

import { packagePath } from './temporary.js';

type Hashes = Readonly<Record<string, string>>;

function read(name: string): unknown {
  return JSON.parse(readFileSync(packagePath(`test/fixtures/samples/${name}`), 'utf8'));
}

const { isa, hashes, emulated } = read('hashes.json') as { isa: string; hashes: Hashes; emulated: Hashes };
const { cpu, cuda } = read('runs.json') as { cpu: Hashes; cuda: Hashes };

/** Hashes by one instruction set, on the cpu and on the emulated card: of every sampler, and of runs of every kind. */
export const sampleHashes = { isa, samplers: { cpu: hashes, cuda: emulated }, runs: { cpu, cuda } } as const;
