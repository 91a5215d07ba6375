// The programs that scripts/gpu-check starts on a card, with others in their places.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

import { describe, expect, it, vi } from 'vitest';

import { GpuChecks, stageOf, type Stage } from '../support/gpu-check.js';
import { packagePath, temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
let made = 0;
const newChecks = () => new GpuChecks(join(folder, String(made++)));

const load = async (name: string): Promise<unknown> => import(packagePath(`bench/gpu/${name}.mjs`));

async function resultOf(checks: GpuChecks, name: string, script: string, ...parameters: string[]): Promise<Stage> {
  checks.useStages({ name, script, parameters });
  const { report } = await checks.run(checks.out(name), '--self-test');
  return stageOf(report, name);
}

describe('scripts/gpu-check', () => {
  it('keeps the lines of dpm_time_products, with the clocks beside them', async () => {
    const checks = newChecks();
    checks.useProgram(
      'nvidia-smi',
      `
      if (process.argv[2].includes('clocks_event_reasons')) process.exit(2);
      const print = () => console.log('1980, 2619, 500.5, 60, 0x0000000000000004');
      print();
      if (process.argv.some((each) => each.startsWith('--loop-ms'))) setInterval(print, 20);`,
    );
    const program = checks.useProgram(
      'dpm_time_products',
      `
      const row = (more) => console.log(JSON.stringify({ problem: 'convolution 1', batch: 1, candidate: 0, engine: 6, ...more }));
      console.error(process.argv[2]);
      console.log('cuDNN was here');
      setTimeout(() => {
        row({ kind: 'joined', microseconds: 3.5 });
        row({ kind: 'bare', microseconds: null, error: 'no memory' });
        process.exit(3);
      }, 1000);`,
    );
    const stage = await resultOf(checks, 'products', 'products.mjs', program);
    expect(stage).toMatchObject({
      status: 'failed',
      reason: 'Error: after 2 rows: ended with 3',
      strange: ['cuDNN was here'],
      rows: [
        { kind: 'joined', microseconds: 3.5 },
        { kind: 'bare', error: 'no memory' },
      ],
    });
    expect(stage.said).toContain('test/cuda/dnn/network_shapes.tsv');
    expect(stage.rows[0]!.clocks).toEqual({
      processorMegahertz: [1980, 1980],
      memoryMegahertz: [2619, 2619],
      watts: 500.5,
      celsius: 60,
      heldBackBy: ['power cap'],
    });
  });

  it('has compute-sanitizer look at our kernels alone, a suite at a time', async () => {
    const checks = newChecks();
    checks.useProgram(
      'compute-sanitizer',
      `
      const { spawnSync } = require('node:child_process');
      const parameters = process.argv.slice(2);
      if (parameters[0] === '--help') console.log('  --kernel-name arg   key1=val1,key2=val2,...');
      else {
        console.error('cuDNN ' + process.env.DPM_CUDNN, parameters.join(' '));
        const first = parameters.findIndex((each) => each.startsWith('/'));
        spawnSync(parameters[first], parameters.slice(first + 1), { stdio: 'inherit' });
        console.log('========= ERROR SUMMARY: 0 errors');
      }`,
    );
    const { status, rows, said } = await resultOf(checks, 'synccheck', 'sanitizer.mjs', 'synccheck');
    expect(status).toBe('ok');
    expect(rows.map(({ suite }) => suite)).toEqual(expect.arrayContaining(['CudaTimeEmbedding', 'CudaGather']));
    for (const row of rows) expect(row).toMatchObject({ tool: 'synccheck', summary: 'ERROR SUMMARY: 0 errors' });
    expect(said).toMatch(/cuDNN off --tool synccheck --kernel-name kns=3dpm4cuda /);
  });

  it('has the kernels of an evaluation from ncu', async () => {
    const checks = newChecks();
    checks.useProgram(
      'ncu',
      `
      console.log('==PROF== Connected to process 1');
      console.log('"ID","Kernel Name","Metric Name","Metric Unit","Metric Value"');
      console.log('"0","a<float, 4>(int)","gpu__time_duration.sum","nsecond","1,500"');
      console.log('"1","b","gpu__time_duration.sum","us","2.5"');`,
    );
    const { status, rows } = await resultOf(checks, 'profile', 'profile.mjs');
    expect(status).toBe('ok');
    expect(rows.filter(({ layer }) => layer === 'conv_in')).toMatchObject([{ network: 'mnist', op: 'convolution' }]);
    expect(rows.filter(({ kernel }) => kernel !== undefined)).toEqual([
      { network: 'mnist', batch: 1, tool: 'ncu', kernel: 'a<float, 4>(int)', microseconds: 1.5 },
      { network: 'mnist', batch: 1, tool: 'ncu', kernel: 'b', microseconds: 2.5 },
    ]);
  });
});

describe('the stage of device tests', () => {
  it('says at which test a suite has crashed, and goes on with the next', async () => {
    const checks = newChecks();
    const tests = checks.useProgram(
      'tests',
      `
      const { writeFileSync } = require('node:fs');
      const all = process.argv.join(' ');
      if (all.includes('--gtest_list_tests')) console.log('Running main()\\nA.\\n  x\\n  y  # of a type\\nB.\\n  z');
      else if (all.includes('A.x:A.y')) {
        console.log('[ RUN      ] A.x\\n[       OK ] A.x (1 ms)\\n[ RUN      ] A.y');
        process.kill(process.pid, 'SIGSEGV');
      } else {
        const report = { time: '0.1s', testsuites: [{ name: 'B', testsuite: [{ name: 'z', graphs: '7' }] }] };
        writeFileSync(/--gtest_output=json:(\\S+)/.exec(all)[1], JSON.stringify(report));
      }`,
    );
    const env = { ...process.env, DPM_GPU_CHECK: JSON.stringify({ tests, selfTest: true }) };
    const script = packagePath('bench/gpu/device-tests.mjs');
    const ended = promisify(execFile)(process.execPath, [script], { env });
    const { code, stdout } = (await ended.catch((error: unknown) => error)) as { code: number; stdout: string };
    expect(code).toBe(1);
    const rows = stdout.trim().split('\n');
    expect(rows.map((row) => JSON.parse(row) as unknown)).toMatchObject([
      { suite: 'A', tests: 0, failed: [{ name: 'A.y', message: 'ended with SIGSEGV' }] },
      { suite: 'B', tests: 1, failed: [], graphs: 7 },
    ]);
  });
});

interface Arm {
  isOpen: boolean;
  open: (seconds: number) => Promise<unknown>;
  ask: (request: object, seconds: number) => Promise<unknown>;
  close: () => void;
}

describe('an engine that is compared', () => {
  it('comes back after it was killed', async () => {
    const { Arm } = (await load('arm')) as { Arm: new (name: string, command: string, parameters: string[]) => Arm };
    const program = `require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
      const { op } = JSON.parse(line);
      if (op !== 'hang') console.log(op === 'NaN' ? '{"milliseconds": NaN}' : JSON.stringify({ pid: process.pid }));
    })`;
    const arm = new Arm('one', process.execPath, ['-e', program]);
    const first = await arm.open(10);
    await expect(arm.ask({ op: 'NaN' }, 10)).rejects.toThrow('no JSON');
    await expect(arm.ask({ op: 'hang' }, 0.1)).rejects.toThrow('hang took longer than');
    expect(arm.isOpen).toBe(false);
    const second = await arm.open(10);
    expect(second).not.toEqual(first);
    // The end of the first is none of the second's.
    await delay(100);
    expect(await arm.ask({ op: 'time' }, 10)).toEqual(second);
    arm.close();
  });
});

describe('a comparison', () => {
  it('opens an engine anew for the next network', async () => {
    interface Comparison {
      failures: string[];
      run: (networkCase: { network: string; batch: number }) => Promise<void>;
    }
    const { Comparison } = (await load('comparison')) as {
      Comparison: new (arms: object[], clocks: object) => Comparison;
    };
    const peer = {
      name: 'peer',
      isOwn: false,
      compiles: false,
      isOpen: false,
      opened: 0,
      open() {
        this.isOpen = true;
        return Promise.resolve({ version: ++this.opened });
      },
      ask({ op, batch }: { op: string; batch?: number }) {
        if (batch !== 1) return Promise.resolve({ parameters: 1, milliseconds: [2, 3, 4], captures: 1 });
        this.isOpen = false;
        return Promise.reject(new Error(`${op} took longer than 1 s`));
      },
    };
    const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
    const comparison = new Comparison([peer], { since: () => ({ clocks: {} }) });
    for (const batch of [1, 2]) await comparison.run({ network: 'mnist', batch });
    const rows = log.mock.calls.map(([line]) => JSON.parse(line as string) as unknown);
    log.mockRestore();
    expect(rows).toMatchObject([
      { arm: 'peer', version: 1 },
      { batch: 1, error: 'prepare took longer than 1 s' },
      { batch: 2, milliseconds: 3, preparedIn: 0, captures: 1, clocks: {} },
    ]);
    expect(peer.opened).toBe(2);
    // A peer may take longer than there is time for.
    expect(comparison.failures).toEqual([]);
  });

  it('notices a NaN wherever it is', async () => {
    interface Agreement {
      compare: (subject: string, arithmetic: object, pairs: [Float32Array, Float32Array][]) => void;
    }
    const { Agreement } = (await load('agreement')) as { Agreement: new () => Agreement };
    const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
    const expected = Float32Array.of(1, 2, 3);
    for (const at of [0, 1, 2]) {
      const actual = expected.with(at, NaN);
      new Agreement().compare('one', { name: 'f32', largest: 1 }, [
        [actual, expected],
        [expected, expected],
      ]);
      expect(JSON.parse(log.mock.lastCall![0] as string)).toMatchObject({ value: null, passed: false });
    }
    log.mockRestore();
  });
});
