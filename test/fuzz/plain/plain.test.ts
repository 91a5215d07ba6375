// Fuzzing without jazzer.js: changes that reach every length and byte, and what the watching process finds.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { describe, expect, it } from 'vitest';

import { Random } from '../../support/random.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';
import { Mutator } from './mutate.js';

const corpus = [Buffer.from('{"step":1,"loss":0.5}'), Buffer.from([1, 2, 3])];

describe('inputs', () => {
  const inputs = (seed: number, of = corpus): Buffer[] => {
    const mutator = new Mutator(new Random(seed), of, 100);
    return Array.from({ length: 2000 }, () => mutator.next());
  };

  it('are those of their seed', () => {
    expect(inputs(1)).toEqual(inputs(1));
    expect(inputs(1)).not.toEqual(inputs(2));
  });

  it('are of every length up to the largest, and of all bytes', () => {
    const made = inputs(3);
    expect(Math.max(...made.map(({ length }) => length))).toBe(100);
    expect(new Set(made.map(({ length }) => length)).size).toBeGreaterThan(80);
    expect(new Set(made.flatMap((data) => [...data])).size).toBe(256);
    expect(new Set(made.map((data) => data.toString('hex'))).size).toBeGreaterThan(1500);
  });

  it('have other numbers, parts twice and ends of others', () => {
    const texts = inputs(4).map((data) => data.toString('latin1'));
    for (const wanted of ['"step":9007199254740993', '"step":"step":', '{"step"\x02\x03', '{"step":1']) {
      expect(
        texts.some((text) => text.includes(wanted)),
        wanted,
      ).toBe(true);
    }
  });

  it('come from an empty corpus, too, and from what is kept', () => {
    expect(new Set(inputs(5, []).map(({ length }) => length)).size).toBeGreaterThan(5);
    const mutator = new Mutator(new Random(6), [], 100);
    mutator.keep(Buffer.from('abcdefgh'));
    expect(Array.from({ length: 50 }, () => mutator.next().toString()).some((text) => text.includes('cdef'))).toBe(
      true,
    );
  });
});

describe('a target', () => {
  const folder = temporaryFolder();

  /** Runs a target whose inputs begin with those of the corpus. */
  function found(name: string, fuzz: string, ...options: string[]) {
    const own = join(folder, name);
    const [kept, seeds] = [join(own, 'kept'), join(own, 'seeds')];
    for (const each of [kept, seeds]) mkdirSync(each, { recursive: true });
    for (const [i, data] of corpus.entries()) writeFileSync(join(seeds, String(i)), data);
    const entry = join(own, 'entry.mts');
    const [run, refused] = ['plain/run.ts', 'refused.ts'].map((file) =>
      pathToFileURL(packagePath(`test/fuzz/${file}`)),
    );
    writeFileSync(
      entry,
      `import { main } from '${run?.href}';\nimport { takenOrRefused } from '${refused?.href}';\nvoid main({ fuzz: async (data) => {${fuzz}} });\n`,
    );
    const args = ['--import', 'tsx', entry, '-max_total_time=2', `-artifact_prefix=${own}/found-`, ...options];
    const { status, stdout } = spawnSync(process.execPath, [...args, kept, seeds], {
      cwd: packagePath('.'),
      encoding: 'utf8',
    });
    const artifacts = readdirSync(own).filter((file) => file.startsWith('found-'));
    return {
      status,
      stdout,
      kept,
      artifacts: artifacts.map((file) => ({ file, data: readFileSync(join(own, file)) })),
    };
  }

  it('that takes or refuses everything is fine, and keeps what it answers in a new way', () => {
    const refusal = `throw Object.assign(new Error('a size of ' + data.length), { code: 'ERR_DPM_FILE' })`;
    const { status, stdout, artifacts, kept } = found(
      'fine',
      `await takenOrRefused(() => { if (data[0] === 0x7b) ${refusal}; });`,
    );
    expect([status, artifacts]).toEqual([0, []]);
    expect(Number(/^number_of_executed_units: (\d+)$/m.exec(stdout)?.[1])).toBeGreaterThan(20);
    expect(stdout).toMatch(/^answers: 2\n/m);
    // Both answers were those of the seeds.
    expect(readdirSync(kept)).toEqual([]);
  });

  it.each([
    ['crash', 'throws', `if (data.length > 30) throw new TypeError('x is undefined');`],
    ['crash', 'never ends', `if (data.length > 30) await new Promise(() => {});`],
    ['crash', 'aborts', `if (data.length > 30) process.abort();`],
    ['timeout', 'hangs', `if (data.length > 30) for (;;);`],
    ['oom', 'fills memory', `if (data.length > 30) for (const all = Buffer.alloc(6e8, 1); all; );`],
  ])('is found with its input: %s of one that %s', (kind, name, fuzz) => {
    const { status, artifacts } = found(name, fuzz, '-timeout=2', '-rss_limit_mb=500');
    expect(status).toBe(1);
    expect(artifacts).toHaveLength(1);
    expect(artifacts[0]!.file).toMatch(new RegExp(`^found-${kind}-[0-9a-f]{40}$`));
    expect(artifacts[0]!.data.length).toBeGreaterThan(30);
  });
});
