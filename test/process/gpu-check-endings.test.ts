// scripts/gpu-check where something goes wrong: with stages of our own that do so.
import { once } from 'node:events';
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { GpuChecks, readReport, stageOf, type OwnStage } from '../support/gpu-check.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
let made = 0;
const newChecks = () => new GpuChecks(join(folder, String(made++)));

const row = (name: string, more = '') => `console.log(JSON.stringify({
  where: 'call', name: '${name}', batch: 1, microseconds: 1, gigabytesPerSecond: 1, ${more} }));`;
const good = (name: string): OwnStage => ({ name: 'update', script: row(name) });
const overhead: OwnStage = {
  name: 'overhead',
  script: `console.log(JSON.stringify({ network: 'n', batch: 1, steps: 1, wholeMicrosecondsPerStep: 1,
    watchedMicrosecondsPerStep: 1 }));`,
};
/** Measures something, starts a child and never ends. */
const hanging = (name: string): OwnStage => ({
  name: 'update',
  script: `import { spawn } from 'node:child_process';
    const { pid } = spawn('sleep', ['600'], { stdio: 'inherit' });
    ${row(name, 'pids: [process.pid, pid]')}
    setInterval(() => undefined, 1000);`,
});
const pidsOf = (rows: Record<string, unknown>[]) => rows.flatMap(({ pids }) => pids as number[]);

function isRunning(pid: number): boolean {
  try {
    // A process that has ended and is not yet reaped does not count.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

async function expectEnded(pids: number[]): Promise<void> {
  expect(pids).toHaveLength(2);
  await expect.poll(() => pids.filter(isRunning)).toEqual([]);
}

const selfTest = '--self-test';

describe('scripts/gpu-check', () => {
  it('keeps what a killed run has measured, and ends what that has started', async () => {
    const checks = newChecks();
    checks.useStages(hanging('before the kill'), overhead);
    const killed = await checks.startUntil('before the kill', checks.out('killed'), selfTest);
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    // Incomplete line of an interrupted write.
    appendFileSync(join(checks.state, 'gpu-check.jsonl'), '{"attempt":"half a l');
    const { report, markdown } = await checks.run(checks.out('next'), selfTest, '--stages', 'overhead');
    const cut = stageOf(report, 'update');
    expect(cut).toMatchObject({ status: 'failed', reason: 'cut off', rows: [{ name: 'before the kill' }] });
    expect(stageOf(report, 'overhead').status).toBe('ok');
    expect(markdown).toContain('before the kill');
    expect(readFileSync(join(checks.out('killed'), 'gpu-check.jsonl'), 'utf8')).toContain('before the kill');
    await expectEnded(pidsOf(cut.rows));
  });

  it('writes what there is when it is told to end', async () => {
    const checks = newChecks();
    checks.useStages(hanging('before the end'), overhead);
    const told = await checks.startUntil('before the end', checks.out('told'), selfTest);
    told.kill('SIGTERM');
    expect(await once(told, 'exit')).toEqual([143, null]);
    const report = readReport(checks.out('told'));
    const cut = stageOf(report, 'update');
    expect(cut).toMatchObject({ status: 'failed', reason: 'ended by SIGTERM', cutOff: true });
    expect(report.stages.map(({ name }) => name)).toEqual(['versions', 'update']);
    await expectEnded(pidsOf(cut.rows));
  });

  it('goes on after stages that hang, fail and cannot be read', async () => {
    const checks = newChecks();
    const updateOf = async (stage: OwnStage) => {
      checks.useStages(stage, overhead);
      const { report } = await checks.run(checks.out('bad'), selfTest);
      expect(stageOf(report, 'overhead').status).toBe('ok');
      return stageOf(report, 'update');
    };
    const stray = await updateOf({ name: 'update', script: `console.log('a library was here');${row('a')}` });
    expect(stray).toMatchObject({ status: 'ok', rows: [{ name: 'a' }], strange: ['a library was here'] });
    const nan = await updateOf({ name: 'update', script: `${row('b')}${row('c', 'microseconds: NaN')}` });
    expect(nan).toMatchObject({ status: 'failed', rows: [{ name: 'b' }] });
    expect(nan.reason).toMatch(/1 unreadable rows: update\.microseconds is null/);
    const noJson = await updateOf({ name: 'update', script: `console.log('{"microseconds": NaN}');${row('d')}` });
    expect(noJson).toMatchObject({ status: 'failed', rows: [{ name: 'd' }], strange: ['{"microseconds": NaN}'] });
    const thrown = await updateOf({ name: 'update', script: `${row('e')}throw new Error('no card left');` });
    expect(thrown).toMatchObject({ status: 'failed', reason: 'Error: no card left', rows: [{ name: 'e' }] });
    const hung = await updateOf({ ...hanging('f'), seconds: 1 });
    // The one before came to its own end, which says more.
    expect(hung).toMatchObject({ reason: 'Error: no card left' });
  });

  it('replaces a result by one that knows as much', async () => {
    const checks = newChecks();
    const reasonAfter = async (stage: OwnStage) => {
      checks.useStages(stage);
      const { report } = await checks.run(checks.out('again'), selfTest);
      const { status, rows } = stageOf(report, 'update');
      return [status, rows.map(({ name }) => name)];
    };
    const late = (...names: string[]) => ({
      ...hanging(names[0]!),
      script: `${names.map((name) => row(name)).join('')}setInterval(() => undefined, 1000);`,
      seconds: 1,
    });
    expect(await reasonAfter(late('a', 'b'))).toEqual(['failed', ['a', 'b']]);
    expect(await reasonAfter(late('c'))).toEqual(['failed', ['a', 'b']]);
    expect(await reasonAfter(late('d', 'e'))).toEqual(['failed', ['d', 'e']]);
    expect(await reasonAfter(good('f'))).toEqual(['ok', ['f']]);
    expect(await reasonAfter(late('g', 'h'))).toEqual(['ok', ['f']]);
    expect(await reasonAfter(good('i'))).toEqual(['ok', ['i']]);
  });
});

describe('scripts/gpu-check --call', () => {
  const stages: OwnStage[] = [
    { ...good('first'), call: 1 },
    { ...overhead, call: 2 },
    {
      name: 'profile',
      script: `console.log(JSON.stringify({ network: 'n', batch: 1, layer: 'l', microseconds: 1 }))`,
      call: 3,
    },
  ];
  const names = ['versions', 'update', 'overhead', 'profile'];

  it('merges three calls, each with an empty folder', async () => {
    const checks = newChecks();
    checks.useStages(...stages);
    for (const call of [1, 2, 3]) {
      const { report } = await checks.run(checks.out(`call-${call}`), selfTest, '--call', String(call));
      expect(report.stages.map(({ name, status }) => [name, status])).toEqual(
        names.slice(0, call + 1).map((name) => [name, 'ok']),
      );
    }
    // Less of everything is another measurement.
    const { report } = await checks.run(checks.out('quick'), selfTest, '--call', '1', '--quick');
    expect(report.stages.map(({ name }) => name)).toEqual(['versions', 'update']);
  });

  it('merges what machines without the results of earlier calls have left', async () => {
    const merged = newChecks();
    const folders: string[] = [];
    for (const call of [1, 2, 3]) {
      const checks = newChecks();
      checks.useStages(...stages);
      const out = checks.out('out');
      folders.push('--merge', out);
      const { report } = await checks.run(out, selfTest, '--call', String(call));
      expect(report.stages).toHaveLength(2);
    }
    merged.useStages(...stages);
    const { report } = await merged.run(merged.out('all'), ...folders);
    expect(report.stages.map(({ name, status }) => [name, status])).toEqual(names.map((name) => [name, 'ok']));
  });
});
