// Model folders and checkpoint files with their configurations and safetensors headers changed at random: nothing but a DpmError
// comes out, and soon. DPM_FUZZ_RUNS sets how many are tried (scripts/soak takes many), DPM_FUZZ_SEED which ones.
import { readFileSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { DpmError } from '../../lib/base/errors.js';
import { readModelFolder } from '../../lib/checkpoint/read-model.js';
import { multiplyAdds, parameterCount } from '../../lib/network/cost.js';
import { unetGraph } from '../../lib/network/unet.js';
import { mistake } from '../support/mistake.js';
import { packagePath, temporaryFolder } from '../support/temporary.js';

const runs = Number(process.env.DPM_FUZZ_RUNS ?? 150);
const seed = Number(process.env.DPM_FUZZ_SEED ?? 20);
const limit = 600_000 + 20 * runs;
const slowest = 60_000;

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Values that a field does not expect. */
const hostile: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json[]>(null, true, '', 'x'.repeat(1e4), [], {}, [[]], '__proto__', 'NaN', { __proto__: 1 }, [
    1,
    'a',
    null,
  ]),
  fc.constantFrom(0, -1, -0, 0.5, 1, 2, 3, 64, 2 ** 31, 2 ** 32, 2 ** 53, 1e308, -1e308, 5e-324),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.array(fc.integer({ min: -2, max: 1025 }), { maxLength: 20 }),
  fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>,
);

/** A change of one place of a value; `steps` lead there. */
function changed(value: Json, steps: readonly number[], replacement: Json | undefined): Json {
  const [step, ...rest] = steps;
  if (step === undefined || value === null || typeof value !== 'object') return replacement ?? null;
  const keys = Object.keys(value);
  const key = keys[step % Math.max(keys.length, 1)];
  if (key === undefined) return replacement ?? null;
  const copy = (Array.isArray(value) ? [...value] : { ...value }) as Record<string, Json>;
  if (rest.length === 0 && replacement === undefined)
    return Object.fromEntries(Object.entries(copy).filter(([each]) => each !== key));
  copy[key] = changed(copy[key] ?? null, rest, replacement);
  return copy;
}

const change = fc.record({
  steps: fc.array(fc.nat(40), { minLength: 1, maxLength: 4 }),
  replacement: fc.option(hostile, { nil: undefined }),
});

/** Reads a model as `dpm inspect` does; returns whether it is one. */
async function tryModel(path: string, config?: string): Promise<boolean> {
  const start = performance.now();
  try {
    const model = await readModelFolder(path, { config });
    for (const head of [null, ...model.heads]) {
      const { unet } = await model.select(head);
      expect(parameterCount(unetGraph(unet))).toBeGreaterThan(0);
      expect(multiplyAdds(unetGraph(unet))).toBeGreaterThan(0);
    }
    return true;
  } catch (error) {
    if (!(error instanceof DpmError)) throw error;
    expect(error.code).not.toBe('ERR_DPM_INTERNAL');
    expect(error.message).not.toMatch(mistake);
    expect(error.message.length).toBeLessThan(20_000);
    return false;
  } finally {
    expect(performance.now() - start).toBeLessThan(slowest);
  }
}

/** Reads a folder into which changed forms of a value are written. */
async function tryChanges(folder: string, valid: Json, write: (value: Json) => void): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
      write(changes.reduce((before, { steps, replacement }) => changed(before, steps, replacement), valid));
      await tryModel(folder);
    }),
    { numRuns: runs, seed },
  );
}

async function copyOf(folder: string): Promise<string> {
  const copy = join(temporaryFolder(), 'model');
  await cp(packagePath(folder), copy, { recursive: true });
  return copy;
}

const unet = 'test/fixtures/unet';

describe('damaged models', () => {
  it.each([
    [`${unet}/diffusers-adm`, 'unet/config.json'],
    [`${unet}/diffusers-ddpm`, 'scheduler/scheduler_config.json'],
    [`${unet}/ho-ddpm-head-complex`, 'config.json'],
    [`${unet}/score-sde-ddpmpp`, 'config.json'],
    [`${unet}/openai-adm-class`, 'config.json'],
    [`${unet}/edm-ddpmpp`, 'config.json'],
    ['models/mnist', 'heads/config.json'],
    ['models/mnist', 'gamma.json'],
  ])(
    '%s: fields of %s',
    async (source, file) => {
      const folder = await copyOf(source);
      const path = join(folder, file);
      const valid = JSON.parse(readFileSync(path, 'utf8')) as Json;
      expect(await tryModel(folder)).toBe(true);
      await tryChanges(folder, valid, (value) => {
        writeFileSync(path, JSON.stringify(value));
      });
    },
    limit,
  );

  it.each([
    [`${unet}/edm-ddpmpp`, 'config.json'],
    [`${unet}/diffusers-adm`, 'unet/config.json'],
    [`${unet}/ho-ddpm`, 'model.safetensors'],
  ])(
    '%s: bytes of %s',
    async (source, file) => {
      const folder = await copyOf(source);
      const path = join(folder, file);
      const valid = readFileSync(path);
      // Files of weights are read only up to the end of the header.
      const length = file.endsWith('.json') ? valid.length : 8 + Number(valid.readBigUInt64LE(0));
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.nat(length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
          fc.option(fc.nat(length), { freq: 5 }),
          async (bytes, end) => {
            const data = Buffer.from(valid);
            for (const [at, byte] of bytes) data[at] = byte;
            writeFileSync(path, data.subarray(0, end ?? valid.length));
            await tryModel(folder);
          },
        ),
        { numRuns: runs, seed },
      );
    },
    limit,
  );

  it(
    'headers of safetensors, their fields and offsets',
    async () => {
      const folder = await copyOf(`${unet}/ho-ddpm`);
      const path = join(folder, 'model.safetensors');
      const valid = readFileSync(path);
      const length = Number(valid.readBigUInt64LE(0));
      const header = JSON.parse(valid.subarray(8, 8 + length).toString('utf8')) as Json;
      await tryChanges(folder, header, (value) => {
        const text = Buffer.from(JSON.stringify(value));
        const size = Buffer.alloc(8);
        size.writeBigUInt64LE(BigInt(text.length));
        writeFileSync(path, Buffer.concat([size, text, valid.subarray(8 + length)]));
      });
    },
    limit,
  );

  it(
    'YAML beside a checkpoint file',
    async () => {
      const config = join(temporaryFolder(), 'config.yaml');
      const valid = readFileSync(packagePath(`${unet}/ho-ddpm/config.json`), 'utf8');
      const noise = fc.string({ unit: fc.constantFrom(...Array.from('{}[]",:-&*!|>%?#\n\t ax1~')), maxLength: 40 });
      await fc.assert(
        fc.asyncProperty(fc.nat(valid.length), noise, async (at, inserted) => {
          writeFileSync(config, valid.slice(0, at) + inserted + valid.slice(at));
          await tryModel(packagePath(`${unet}/ho-ddpm.pth`), config);
        }),
        { numRuns: runs, seed },
      );
    },
    limit,
  );
});
