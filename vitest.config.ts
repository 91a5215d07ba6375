import { defineConfig } from 'vitest/config';

const tests = ['test/**/*.test.ts', 'packages/*/test/**/*.test.ts'];
// Tests that count bytes, measure time or load a server want the machine for themselves.
const alone = ['test/process', 'test/lib/model', 'packages/server/test/process'].map((room) => `${room}/**/*.test.ts`);

// Tests of what has no state of its own, one file after the other in the same processes: loading the sources takes longer than most of them.
const rooms = [
  'base',
  'checkpoint',
  'cli',
  'estimation',
  'files',
  'guidance',
  'images',
  'network',
  'program',
  'samplers',
  'schedule',
  'translation',
  'variance',
];
const shared = rooms.map((room) => `test/lib/${room}/**/*.test.ts`);
// They replace modules, or choose a plug-in before the first device is opened.
const own = ['test/lib/cli/read-only-target.test.ts', 'test/lib/network/families.test.ts'];

// What scripts/native-build.cjs leaves out too where the device of CUDA is as it was: of its tests a few networks remain.
const ofCard = [
  'test/cuda/emulated-{classifier,derivatives,hashes,network-switches}.test.ts',
  'test/process/gpu-check*.test.ts',
];
// A server with its processes, browsers and queues, which .ci/run has where one of what they are made of has changed.
const ofServer = [
  'packages/server/test/{browser,process}/**/*.test.ts',
  'packages/server/test/jobs/{jobs,kills,secrets}.test.ts',
  'packages/server/test/jobs/queue/queue-faults.test.ts',
  'packages/server/test/jobs/results/s3-*.test.ts',
  'packages/server/test/http/slow-readers.test.ts',
];
const skipped = [
  ...(process.env.DPM_CARD_TESTS === 'OFF' ? ofCard : []),
  ...(process.env.DPM_SERVER_TESTS === 'OFF' ? ofServer : []),
];

// On two cores, as some of them wait for processes and clocks. Engines then have a thread each: with more threads than cores, those of
// a layer wait for one that does not run. Results do not depend on threads; scripts/machines --all gives every test all that there are.
const atOnce = 3;
const env = { DPM_THREADS: process.env.DPM_THREADS ?? '1' };

export default defineConfig({
  resolve: {
    alias: { 'dpm-native': new URL('./lib/index.ts', import.meta.url).pathname },
  },
  test: {
    // A crash in native code then ends one worker process and is reported, instead of taking the whole run with it.
    pool: 'forks',
    projects: [
      {
        extends: true,
        test: {
          name: 'together',
          include: tests,
          exclude: [...alone, ...shared, ...skipped, '**/node_modules/**'],
          env,
          maxWorkers: atOnce,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'shared',
          include: shared,
          exclude: own,
          env,
          isolate: false,
          maxWorkers: atOnce,
          sequence: { groupOrder: 0 },
        },
      },
      { extends: true, test: { name: 'own', include: own, env, maxWorkers: atOnce, sequence: { groupOrder: 1 } } },
      {
        extends: true,
        test: { name: 'alone', include: alone, exclude: skipped, maxWorkers: 1, sequence: { groupOrder: 2 } },
      },
    ],
    execArgv: ['--expose-gc'],
    // For what never ends: beside other work a test may take many times as long as alone.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 60_000 } },
    // What .ci/run counts.
    reporters: process.env.CI === undefined ? ['default'] : ['default', ['json', { outputFile: 'build/vitest.json' }]],
    coverage: { include: ['lib/**/*.ts'] },
  },
});
