// The stage of scripts/gpu-check that times products: the program itself, on the emulated card.
import { once } from 'node:events';
import { join } from 'node:path';

import { afterEach, describe, expect, it, vi } from 'vitest';

import { GpuChecks, stageOf } from '../support/gpu-check.js';
import { packagePath, temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
let made = 0;

/** Makes checks with a cache of their own, so that they find no choices of other runs. */
function newChecks(...parameters: string[]): GpuChecks {
  const own = join(folder, String(made++));
  vi.stubEnv('XDG_CACHE_HOME', own);
  const checks = new GpuChecks(own);
  const program = packagePath('build/cmake/Release/emulated/dpm_time_products');
  checks.useStages({ name: 'products', script: 'products.mjs', parameters: [program, ...parameters] });
  return checks;
}

afterEach(() => {
  vi.unstubAllEnvs();
});

const selfTest = '--self-test';

describe('the stage of products', () => {
  it('has a row for every kernel of every problem', async () => {
    const checks = newChecks();
    const { report, markdown } = await checks.run(checks.out('all'), selfTest);
    const { status, rows, strange, said } = stageOf(report, 'products');
    expect({ status, strange }).toEqual({ status: 'ok', strange: [] });
    expect(said).toMatch(/did (\d+) of \1 problems; 0 kernels are wrong, 0 could not be tried/);
    expect(new Set(rows.map(({ kind }) => kind))).toEqual(new Set(['attention', 'own', 'own small', 'bare', 'joined']));
    expect(new Set(rows.map(({ type }) => type))).toEqual(new Set(['bf16', 'f32']));
    for (const row of rows) expect(row).toMatchObject({ batch: 1, microseconds: expect.any(Number) as number });
    const compared = rows.filter(({ kind }) => kind !== 'own');
    for (const row of compared) expect(row.right, JSON.stringify(row)).toBe(true);
    expect(rows.find(({ kind }) => kind === 'bare')).toMatchObject({ engine: '0', knobs: '2=1', packed: false });
    expect(markdown).toContain('joined fallback: us (engine, of how many)');
  });

  it('fails for a candidate that is wrong, and shows it', async () => {
    vi.stubEnv('DPM_EMULATED_PRODUCTS', 'dropped');
    const checks = newChecks('--types', 'bf16');
    const { report, markdown } = await checks.run(checks.out('wrong'), selfTest);
    const { status, reason, rows } = stageOf(report, 'products');
    expect(status).toBe('failed');
    expect(reason).toMatch(/^Error: \d results are wrong: 3\/2: for bf16 1x1 256@4x4/);
    expect(rows.filter(({ right }) => right === false).map(({ kind }) => kind)).toContain('joined fallback');
    expect(markdown).toMatch(/- bf16 1x1 256@4x4 .*, batch 1, joined fallback 3\/2:: WRONG by 1\.7e-1/);
  });

  it('keeps the rows of a run that was killed, and merges them', async () => {
    const checks = newChecks('--operations', '1e12');
    const killed = await checks.startUntil('"kind":"bare"', checks.out('killed'), selfTest);
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    const merged = newChecks();
    const { report } = await merged.run(merged.out('merged'), '--merge', checks.out('killed'));
    const { status, rows } = stageOf(report, 'products');
    expect(status).toBe('failed');
    expect(rows.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['own', 'bare']));
  });

  it('stops by itself before it is ended', async () => {
    const checks = newChecks('--operations', '1e12', '--seconds', '0.1');
    const { report } = await checks.run(checks.out('late'), selfTest);
    const { status, said, rows } = stageOf(report, 'products');
    expect(status).toBe('ok');
    expect(rows.length).toBeGreaterThan(0);
    expect(said).toMatch(/did 1 of \d+ problems/);
  });

  it('fails where the program is missing or cannot read the table', async () => {
    const checks = newChecks();
    const script = { name: 'products', script: 'products.mjs' };
    checks.useStages({ ...script, parameters: [join(folder, 'nowhere')] });
    const { report } = await checks.run(checks.out('none'), selfTest);
    expect(stageOf(report, 'products')).toMatchObject({ status: 'failed', rows: [] });
    expect(stageOf(report, 'products').reason).toMatch(/after 0 rows: .*ENOENT/);
    const unreadable = newChecks('--batches', 'all');
    const other = await unreadable.run(unreadable.out('options'), selfTest);
    expect(stageOf(other.report, 'products').said).toContain('--batches is "all", not a number from 1 to 4096');
  });
});
