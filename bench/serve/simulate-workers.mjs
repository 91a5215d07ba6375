// Simulates a fleet of cards that draw the jobs of a queue: our workers, BullMQ and Redis are real, and only the network is not: a card
// sleeps as long as its steps were measured to take. Says how long jobs wait, and what Redis does for them.
//
//   node bench/serve/simulate-workers.mjs [--workers 64] [--processes 4] [--steps 20] [--step-ms 35] [--chunk 64] [--chunks 16]
//     [--at-once 2] [--loads 0.5,0.8,0.95,full] [--seconds 60] [--json]
//
// A card draws one chunk of --chunk samples at a time, in --steps steps of --step-ms. A worker has --at-once of them, two as `roomOf` in
// draw-chunk.ts has it where a chunk is as large as the batch: one is drawn, and one waits. Jobs of --chunks chunks come at random (Poisson) at each of --loads of what the cards can draw; a load
// of `full` sends all at once to cards that take no time, which is the most that Redis and these processes carry. `ideal` is the same
// arrivals to cards that share one line without any machine between. Needs a build (`npm run build`) and redis-server.
import { fork } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

import { queueOf } from '../../packages/server/dist/jobs/job.js';
import { BullmqStore } from '../../packages/server/dist/jobs/queue/bullmq-store.js';
import { JobWorker } from '../../packages/server/dist/jobs/queue/bullmq-worker.js';
import { ideal, randomArrivals, spreadOf } from './arrivals.mjs';
import { startRedis, until } from './redis.mjs';

const { values: flags } = parseArgs({
  options: {
    workers: { type: 'string', default: '64' },
    processes: { type: 'string', default: '4' },
    steps: { type: 'string', default: '20' },
    'step-ms': { type: 'string', default: '35' },
    chunk: { type: 'string', default: '64' },
    chunks: { type: 'string', default: '16' },
    'at-once': { type: 'string', default: '2' },
    loads: { type: 'string', default: '0.5,0.8,0.95,full' },
    seconds: { type: 'string', default: '60' },
    json: { type: 'boolean', default: false },
  },
});
const number = (name) => {
  const value = Number(flags[name]);
  if (!(value > 0)) throw new Error(`--${name} is ${flags[name]}, it has to be above 0`);
  return value;
};
const [workers, processes, chunk, chunks] = ['workers', 'processes', 'chunk', 'chunks'].map(number);
const [steps, stepMs, seconds] = ['steps', 'step-ms', 'seconds'].map(number);
const digest = createHash('sha256').update('simulated').digest('hex');
const engine = 'simulated';
const concurrency = number('at-once');
/** Chunks that are sent at once for each of --seconds at a load of `full`. */
const FULL_CHUNKS = 200;
/** Milliseconds, the same in all processes. */
const now = () => performance.timeOrigin + performance.now();
const fail = (error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
};

/** A process with some of the workers. It tells its parent of every chunk. */
async function work({ queue, results, count, cardMs }) {
  const open = () => {
    let card = Promise.resolve();
    const draw = async ({ id }, index, signal) => {
      const before = card;
      const drawing = (async () => {
        await before;
        const began = now();
        if (cardMs > 0) await sleep(cardMs, undefined, { signal });
        process.send({ id, index, began, ended: now() });
      })();
      card = drawing.catch(() => undefined);
      await drawing;
      return Buffer.alloc(1024, index);
    };
    const places = [engine, 'any'].map((each) => ({
      queue: queueOf({ digest, engine: each }),
      concurrency,
    }));
    return JobWorker.open({
      queue,
      results,
      places,
      draw,
      onError: fail,
      onFailure: (_, __, error) => fail(error),
      onTrouble: fail,
    });
  };
  const opened = await Promise.all(Array.from({ length: count }, open));
  process.send('ready');
  process.once('message', () => {
    void Promise.all(opened.map((worker) => worker.close())).then(() => {
      process.exit();
    });
  });
}

/** Starts all workers, and tells of their chunks. */
async function startWorkers(options, onChunk) {
  const children = Array.from({ length: processes }, (_, index) => {
    const count = Math.floor((workers + index) / processes);
    return fork(fileURLToPath(import.meta.url), process.argv.slice(2), {
      env: { ...process.env, DPM_SIMULATED: JSON.stringify({ ...options, count }) },
    });
  });
  const isReady = (child) =>
    new Promise((resolve) => {
      child.once('exit', (code) => {
        if (code !== 0) fail(new Error(`a process of workers ended with ${code}`));
      });
      child.on('message', (message) => {
        if (message === 'ready') resolve();
        else onChunk(message);
      });
    });
  await Promise.all(children.map(isReady));
  return async () => {
    const ended = children.map((child) => new Promise((resolve) => child.once('exit', resolve)));
    for (const child of children) child.send('end');
    await Promise.all(ended);
  };
}

function newJob(seed) {
  return {
    id: randomUUID(),
    tenant: '',
    weight: 1,
    createdAt: new Date().toISOString(),
    digest,
    engine,
    asked: digest,
    shape: [3, 512, 512],
    range: [-1, 1],
    rows: chunk * chunks * steps,
    body: { model: 'simulated', sampler: 'ddim', steps, count: chunk * chunks, chunk, seed: String(seed) },
  };
}

async function measure(redis, load) {
  const folder = mkdtempSync(join(tmpdir(), 'samples-'));
  const place = { queue: redis.url, results: pathToFileURL(folder).href };
  const cardMs = load === 'full' ? 0 : steps * stepMs;
  const known = new Map();
  const drawn = new Map();
  let last = 0;
  const onChunk = ({ id, index, began, ended }) => {
    const job = known.get(id);
    drawn.set(`${id} ${index}`, (drawn.get(`${id} ${index}`) ?? 0) + 1);
    job.began = Math.min(job.began, began);
    job.ended = Math.max(job.ended, ended);
    last = Math.max(last, ended);
  };
  const stop = await startWorkers({ ...place, cardMs }, onChunk);
  const store = await BullmqStore.open({ ...place, keep: 3600e3, onError: fail });
  try {
    const idle = await redis.watch();
    await sleep(10_000);
    const quiet = await idle();
    const arrivals =
      load === 'full'
        ? Array.from({ length: Math.ceil((FULL_CHUNKS * seconds) / chunks) }, () => 0)
        : randomArrivals((Number(load) * workers) / cardMs / chunks, 1e3 * seconds);
    if (arrivals.length === 0) throw new Error(`no job comes within ${seconds} s: --seconds has to be more`);
    const done = await redis.watch();
    const used = process.cpuUsage();
    const begin = now();
    await Promise.all(
      arrivals.map(async (at, index) => {
        await sleep(begin + at - now());
        const job = newJob(`${Date.now()}${index}`);
        known.set(job.id, { sent: now(), began: Infinity, ended: 0 });
        await store.add(job);
      }),
    );
    await until(() => drawn.size === arrivals.length * chunks);
    const figures = await done();
    const own = process.cpuUsage(used);
    await until(async () => (await store.figures()).jobs.get('done') >= arrivals.length);
    const total = arrivals.length * chunks;
    const jobs = [...known.values()];
    return {
      load,
      jobs: jobs.length,
      chunksPerSecond: total / ((last - begin) / 1e3),
      ...spreadOf(jobs),
      ideal: cardMs === 0 ? null : spreadOf(ideal(arrivals, { cards: workers, chunks, cardMs })),
      twice: [...drawn.values()].filter((times) => times > 1).length,
      commandsPerSecond: figures.commands / figures.elapsed,
      commandsPerChunk: figures.commands / total,
      redisShare: figures.cpu / figures.elapsed,
      redisMsPerChunk: (1e3 * figures.cpu) / total,
      senderShare: (own.user + own.system) / 1e6 / figures.elapsed,
      idle: { commandsPerSecond: quiet.commands / quiet.elapsed, redisShare: quiet.cpu / quiet.elapsed },
    };
  } finally {
    await store.close();
    await stop();
    rmSync(folder, { recursive: true });
  }
}

function report(results) {
  const fixed = (value, digits) => value.toFixed(digits);
  const pair = ({ p50, p99 }) => `${fixed(p50, 2)}, ${fixed(p99, 2)}`;
  const percent = (share) => `${fixed(100 * share, 1)} %`;
  console.log(
    '| load | jobs | chunks a second | wait p50, p99, s | ideal | done p50, p99, s | ideal | commands a second | a chunk | Redis, of a core | ms a chunk |',
  );
  console.log(`|${' --- |'.repeat(11)}`);
  for (const each of results) {
    const ofIdeal = (name) => (each.ideal === null ? '' : pair(each.ideal[name]));
    const times = [pair(each.waited), ofIdeal('waited'), pair(each.done), ofIdeal('done')];
    const redis = [
      fixed(each.commandsPerSecond, 0),
      fixed(each.commandsPerChunk, 0),
      percent(each.redisShare),
      fixed(each.redisMsPerChunk, 2),
    ];
    console.log(`| ${[each.load, each.jobs, fixed(each.chunksPerSecond, 1), ...times, ...redis].join(' | ')} |`);
  }
  const { idle, redisMsPerChunk } = results.at(-1);
  console.log(`\nidle: ${fixed(idle.commandsPerSecond, 0)} commands a second, ${percent(idle.redisShare)} of a core`);
  console.log(
    `a core of Redis carries ${fixed(1e3 / redisMsPerChunk, 0)} chunks a second, ${fixed((chunk * 1e3) / redisMsPerChunk, 0)} samples`,
  );
  const twice = results.reduce((sum, each) => sum + each.twice, 0);
  if (twice > 0) console.log(`${twice} chunks were drawn more than once`);
}

if (process.env.DPM_SIMULATED === undefined) {
  const results = [];
  for (const load of flags.loads.split(',')) {
    const redis = await startRedis();
    try {
      results.push(await measure(redis, load));
    } finally {
      await redis.stop();
    }
  }
  if (flags.json) process.stdout.write(`${JSON.stringify(results)}\n`);
  else report(results);
} else await work(JSON.parse(process.env.DPM_SIMULATED));
