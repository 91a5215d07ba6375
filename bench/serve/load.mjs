// Generates open- and closed-loop load for `dpm serve`, without dependencies. Talks to loopback addresses only and stops by itself.
//
//   node bench/serve/load.mjs --url http://127.0.0.1:8080 --model mnist --load 0.8 --seconds 60
//   node bench/serve/load.mjs --url … --rate 20 --seconds 30 --mix 10,25,70 --samplers unipc,ddim --guided 0.2 --stream 0.1
//   node bench/serve/load.mjs --url … --clients 64 --seconds 60                  (closed loop: the most the server gives)
//   node bench/serve/load.mjs --url … --load 3 --seconds 600 --max-lost 0 --min-refused 0.5 --max-loop-p99 2
//
// Open loop: requests leave at the times of a Poisson process drawn beforehand, whatever the server does; latency counts
// from the drawn time, so a server that stalls cannot hide it. --load is a multiple of the capacity that the server states.
// Every answer is checked: seeds come from a small pool, and equal requests must give equal bytes.
// Exit status: 0, or 1 when a --min-/--max- limit is missed, 2 for a wrong call.
import { createHash } from 'node:crypto';
import http from 'node:http';
import { parseArgs } from 'node:util';

const { values: flags } = parseArgs({
  options: {
    url: { type: 'string', default: 'http://127.0.0.1:8080' },
    model: { type: 'string' },
    token: { type: 'string' },
    load: { type: 'string' },
    rate: { type: 'string' },
    clients: { type: 'string' },
    seconds: { type: 'string', default: '30' },
    drain: { type: 'string', default: '60' },
    mix: { type: 'string', default: '10,25,70' },
    samplers: { type: 'string', default: 'unipc,ddim,dpm-solver++-2m' },
    count: { type: 'string', default: '1' },
    guided: { type: 'string', default: '0' },
    stream: { type: 'string', default: '0' },
    abandon: { type: 'string', default: '0' },
    deadline: { type: 'string' },
    seeds: { type: 'string', default: '40' },
    seed: { type: 'string', default: '1' },
    'most-open': { type: 'string', default: '4000' },
    'min-goodput': { type: 'string' },
    'max-step-p99': { type: 'string' },
    'max-lost': { type: 'string' },
    'min-refused': { type: 'string' },
    'max-loop-p99': { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

function fail(message) {
  process.stderr.write(`load: ${message}\n`);
  process.exit(2);
}

function numberOf(name, least, most) {
  const value = Number(flags[name]);
  if (!(value >= least && value <= most)) fail(`--${name} is ${flags[name]}, it has to be from ${least} to ${most}`);
  return value;
}

const base = new URL(flags.url);
if (base.protocol !== 'http:' || !['127.0.0.1', 'localhost', '[::1]'].includes(base.hostname)) {
  fail(`${flags.url} is not a loopback address`);
}
const seconds = numberOf('seconds', 1, 900);
const drainSeconds = numberOf('drain', 1, 300);
const mostOpen = numberOf('most-open', 1, 20000);
const count = numberOf('count', 1, 64);
const pool = numberOf('seeds', 1, 1e6);
const shares = {
  guided: numberOf('guided', 0, 1),
  stream: numberOf('stream', 0, 1),
  abandon: numberOf('abandon', 0, 1),
};
const mix = flags.mix.split(',').map(Number);
if (mix.some((steps) => !Number.isInteger(steps) || steps < 1 || steps > 1000)) fail('--mix is a list of step counts');
const samplers = flags.samplers.split(',');

function randomStream(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
const random = randomStream(Number(flags.seed));
const pick = (list) => list[Math.floor(random() * list.length)];

const agent = new http.Agent({ keepAlive: true, maxSockets: mostOpen, maxFreeSockets: 256 });
const authorization = flags.token === undefined ? {} : { authorization: `Bearer ${flags.token}` };

function exchange(method, path, { body, headers = {}, onChunk, timeout = 120_000 } = {}) {
  return new Promise((resolve) => {
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const started = performance.now();
    let status = 0;
    const request = http.request(
      {
        agent,
        host: base.hostname.replace(/^\[|\]$/g, ''),
        port: base.port || 80,
        method,
        path,
        timeout,
        headers: {
          ...authorization,
          ...headers,
          ...(payload && { 'content-type': 'application/json', 'content-length': payload.length }),
        },
      },
      (response) => {
        status = response.statusCode;
        const chunks = [];
        response.on('data', (chunk) => {
          if (onChunk) onChunk(chunk, () => request.destroy(new Error('abandoned')));
          chunks.push(chunk);
        });
        response.on('end', () =>
          resolve({
            status,
            headers: response.headers,
            body: Buffer.concat(chunks),
            whole: response.complete,
            started,
          }),
        );
        response.on('error', (error) =>
          resolve({ status, headers: response.headers, body: Buffer.concat(chunks), whole: false, error, started }),
        );
      },
    );
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.on('error', (error) =>
      resolve({ status, headers: {}, body: Buffer.alloc(0), whole: false, error, started }),
    );
    request.end(payload);
  });
}

async function getJson(path) {
  const answer = await exchange('GET', path, { timeout: 10_000 });
  if (answer.status !== 200) fail(`GET ${path}: ${answer.status || answer.error?.message}`);
  return JSON.parse(answer.body.toString());
}

/** The sums of the text format by family, and the p99 of the event loop's delay. */
async function metrics() {
  const answer = await exchange('GET', '/metrics', { timeout: 10_000 });
  if (answer.status !== 200) return null;
  const sums = {};
  for (const line of answer.body.toString().split('\n')) {
    const match = /^([a-z_:][a-z0-9_:]*)(\{.*\})?\s+(\S+)$/i.exec(line);
    if (match === null) continue;
    sums[match[1]] = (sums[match[1]] ?? 0) + Number(match[3]);
    if (match[1] === 'dpm_event_loop_delay_seconds' && match[2]?.includes('quantile="0.99"'))
      sums.loopP99 = Number(match[3]);
  }
  return sums;
}

const known = new Map();
const results = [];
let open = 0;
let unequal = 0;
let withoutRetryAfter = 0;

function draw(model) {
  const steps = pick(mix);
  const guided = model.classes > 0 && random() < shares.guided;
  const request = {
    model: model.id,
    sampler: pick(samplers),
    steps,
    count,
    seed: String(Math.floor(random() * pool)),
    ...(model.classes > 0 && { classLabels: Math.floor(random() * model.classes) }),
    ...(guided && { guidance: 2 }),
    ...(flags.deadline !== undefined && { deadlineMs: Number(flags.deadline) }),
  };
  return {
    request,
    steps,
    rows: count * (guided ? 2 : 1),
    stream: random() < shares.stream,
    abandon: random() < shares.abandon,
  };
}

/** Hashes the images of an answer, which is JSON or has SSE events `image`. */
function digestOf(answer, stream) {
  const hash = createHash('sha256');
  if (!stream) {
    for (const image of JSON.parse(answer.body.toString()).images) hash.update(image.b64);
    return hash.digest('base64');
  }
  const images = [];
  let done = false;
  for (const block of answer.body.toString().split('\n\n')) {
    const event = /^event: (.*)$/m.exec(block)?.[1];
    const data = /^data: (.*)$/m.exec(block)?.[1];
    if (event === 'image') images.push(JSON.parse(data));
    if (event === 'done') done = true;
  }
  if (!done) return null;
  for (const image of images.sort((a, b) => a.index - b.index)) hash.update(image.b64);
  return hash.digest('base64');
}

async function send(drawn, due) {
  if (open >= mostOpen) {
    results.push({ outcome: 'not sent', steps: drawn.steps, rows: drawn.rows });
    return;
  }
  ++open;
  const { request, steps, rows, stream, abandon } = drawn;
  let first;
  const answer = await exchange('POST', '/v1/samples', {
    body: request,
    headers: { accept: stream ? 'text/event-stream' : 'application/json' },
    onChunk: (_, destroy) => {
      first ??= performance.now();
      if (stream && abandon) destroy();
    },
  });
  --open;
  const finished = performance.now();
  const result = {
    steps,
    rows,
    status: answer.status,
    latency: finished - due,
    finished,
    queued: Number(/queue;dur=([\d.]+)/.exec(answer.headers['server-timing'] ?? '')?.[1] ?? Number.NaN),
    toFirst: first === undefined ? null : first - due,
  };
  if (answer.status === 200 && stream && abandon) result.outcome = 'abandoned';
  else if (answer.status === 200 && answer.whole) {
    let digest = null;
    try {
      digest = digestOf(answer, stream);
    } catch {
      // Counted as lost below.
    }
    if (digest === null) result.outcome = 'lost';
    else {
      result.outcome = 'done';
      const key = JSON.stringify({ ...request, deadlineMs: undefined });
      if (known.has(key) && known.get(key) !== digest) ++unequal;
      known.set(key, digest);
    }
  } else if (answer.status === 503 || answer.status === 429) {
    result.outcome = 'refused';
    if (!/^\d+$/.test(answer.headers['retry-after'] ?? '')) ++withoutRetryAfter;
  } else if (answer.status === 504) result.outcome = 'late';
  // What broke off, or never got a status, was taken and not delivered: a server that is full says 503.
  else if (answer.status === 200) result.outcome = 'lost';
  else if (answer.status === 0) result.outcome = `lost: ${answer.error?.code ?? answer.error?.message}`;
  else result.outcome = `status ${answer.status}`;
  results.push(result);
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let rowsOffered = 0;

async function openLoop(model, rate, start) {
  const times = [];
  for (let at = 0; ;) {
    at += (-Math.log(1 - random()) / rate) * 1000;
    if (at > seconds * 1000) break;
    const drawn = draw(model);
    if (at > seconds * 100) rowsOffered += drawn.steps * drawn.rows;
    times.push({ due: start + at, drawn });
  }
  const running = [];
  for (const { due, drawn } of times) {
    const wait = due - performance.now();
    if (wait > 1) await sleep(wait);
    running.push(send(drawn, due));
  }
  await Promise.race([Promise.all(running), sleep(drainSeconds * 1000)]);
  return times.length;
}

async function closedLoop(model, clients, start) {
  const end = start + seconds * 1000;
  let sent = 0;
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (performance.now() < end) {
        ++sent;
        await send(draw(model), performance.now());
        if (results.at(-1)?.outcome !== 'done') await sleep(50);
      }
    }),
  );
  return sent;
}

const quantile = (values, share) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? null : sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
};
const rounded = (value) => (value === null || value === undefined ? null : Number(value.toPrecision(4)));

const models = (await getJson('/v1/models')).data;
const listed = flags.model === undefined ? models[0] : models.find(({ id }) => id === flags.model);
if (listed === undefined) fail(`no model ${flags.model ?? ''}; there are: ${models.map(({ id }) => id).join(', ')}`);
const model = await getJson(`/v1/models/${encodeURIComponent(listed.id)}`);
const capacity = model.batcher?.capacityRowsPerSecond ?? null;
const rowsPerRequest =
  (mix.reduce((sum, steps) => sum + steps, 0) / mix.length) * count * (1 + (model.classes > 0 ? shares.guided : 0));

let rate = null;
if (flags.clients === undefined) {
  if (flags.rate !== undefined) rate = numberOf('rate', 0.01, 5000);
  else {
    if (capacity === null) fail('the server states no capacity: give --rate');
    rate = (numberOf('load', 0.01, 10) * capacity) / rowsPerRequest;
  }
  if (rate * seconds > 500_000) fail(`${Math.round(rate * seconds)} requests are too many; 500,000 at most`);
}

const before = await metrics();
const start = performance.now();
const sent =
  flags.clients === undefined
    ? await openLoop(model, rate, start)
    : await closedLoop(model, numberOf('clients', 1, 4000), start);
const after = await metrics();
agent.destroy();

const by = (outcome) => results.filter((result) => result.outcome === outcome);
const done = by('done');
// The first tenth of the time is warm-up; goodput counts what was done while requests arrived.
const warm = start + seconds * 100;
const window = done.filter((result) => result.finished > warm && result.finished <= start + seconds * 1000);
const rowsDone = window.reduce((sum, result) => sum + result.steps * result.rows, 0) / (seconds * 0.9);
const counted = done.filter((result) => result.finished > warm);
const perStep = counted.map((result) => result.latency / result.steps);
const outcomes = {};
for (const { outcome } of results) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
const unanswered = sent - results.length;
const lost = results.filter(({ outcome }) => outcome.startsWith('lost')).length + unanswered;

const report = {
  url: base.origin,
  model: model.id,
  loop: flags.clients === undefined ? 'open' : 'closed',
  offeredRequestsPerSecond: rounded(rate),
  capacityRowsPerSecond: rounded(capacity),
  offeredRowsPerSecond: rounded(rate === null ? null : rowsOffered / (seconds * 0.9)),
  goodputRowsPerSecond: rounded(rowsDone),
  goodputOfCapacity: rounded(capacity === null ? null : rowsDone / capacity),
  goodputOfOffered: rounded(rate === null ? null : (rowsDone * seconds * 0.9) / rowsOffered),
  sent,
  outcomes,
  lost,
  unequal,
  refusedShare: rounded(sent === 0 ? 0 : (outcomes.refused ?? 0) / sent),
  refusedWithoutRetryAfter: withoutRetryAfter,
  latencyMs: {
    p50: rounded(
      quantile(
        counted.map(({ latency }) => latency),
        0.5,
      ),
    ),
    p99: rounded(
      quantile(
        counted.map(({ latency }) => latency),
        0.99,
      ),
    ),
  },
  // How long the server says that a request waited for its place; a stream does not say it beforehand.
  queuedMs: Object.fromEntries(
    [0.5, 0.99, 1].map((share) => [
      share === 1 ? 'most' : `p${100 * share}`,
      rounded(
        quantile(
          done.map(({ queued }) => queued).filter((queued) => !Number.isNaN(queued)),
          share,
        ),
      ),
    ]),
  ),
  perStepMs: { p50: rounded(quantile(perStep, 0.5)), p99: rounded(quantile(perStep, 0.99)) },
  bySteps: Object.fromEntries(
    mix.map((steps) => {
      const own = counted.filter((result) => result.steps === steps).map(({ latency }) => latency);
      return [steps, { n: own.length, p50: rounded(quantile(own, 0.5)), p99: rounded(quantile(own, 0.99)) }];
    }),
  ),
  server:
    before === null || after === null
      ? null
      : {
          eventLoopDelayP99Ms: rounded((after.loopP99 ?? Number.NaN) * 1000),
          evaluations: (after.dpm_evaluations_total ?? 0) - (before.dpm_evaluations_total ?? 0),
          rowsAnEvaluation: rounded(
            ((after.dpm_rows_total ?? 0) - (before.dpm_rows_total ?? 0)) /
              ((after.dpm_evaluations_total ?? 0) - (before.dpm_evaluations_total ?? 0)),
          ),
          residentMiB: rounded((after.process_resident_memory_bytes ?? 0) / 2 ** 20),
          residentGrowthMiB: rounded(
            ((after.process_resident_memory_bytes ?? 0) - (before.process_resident_memory_bytes ?? 0)) / 2 ** 20,
          ),
        },
};

const limits = [
  ['min-goodput', report.goodputOfOffered ?? report.goodputOfCapacity, (value, limit) => value >= limit],
  ['max-step-p99', report.perStepMs.p99, (value, limit) => value <= limit],
  ['max-lost', lost + unequal, (value, limit) => value <= limit],
  ['min-refused', report.refusedShare, (value, limit) => value >= limit],
  ['max-loop-p99', report.server?.eventLoopDelayP99Ms, (value, limit) => value <= limit],
];
report.missed = limits
  .filter(([name]) => flags[name] !== undefined)
  .filter(([name, value, holds]) => !holds(value, Number(flags[name])))
  .map(([name, value]) => `${name} ${flags[name]}: ${value}`);

if (flags.json) console.log(JSON.stringify(report));
else console.dir(report, { depth: null, breakLength: 140 });
process.exit(report.missed.length > 0 ? 1 : 0);
