import { stepProgram, stepRecord } from '../../lib/program/builder.js';
import type { StepProgram } from '../../lib/program/program.js';
import type { Clip, LinearUpdate, RecordVariance, StepRecord } from '../../lib/program/record.js';
import { Random } from './random.js';

const historyLength = 8;

function randomClip(random: Random): Clip {
  return random.pick<Clip>([
    { kind: 'none' },
    { kind: 'static', low: random.between(-1.5, -0.5), high: random.between(0.5, 1.5) },
    {
      kind: 'dynamic',
      quantile: random.between(0.5, 1),
      floor: random.between(0.3, 1),
      ...(random.chance(0.5) && { ceiling: random.between(0.2, 1) }),
    },
  ]);
}

function randomVariance(random: Random): RecordVariance {
  const low = random.between(0, 0.1);
  return random.pick<RecordVariance>([
    { kind: 'none' },
    { kind: 'scalar', deviation: random.unit() },
    {
      kind: 'linear',
      offset: random.between(-0.1, 0.5),
      head: random.between(-1, 1),
      epsilonSquared: random.between(-1, 1),
      epsilon: { input: random.between(-1, 1), output: random.between(-1, 1) },
      low,
      high: low + random.unit(),
    },
    { kind: 'log', offset: random.between(-3, 0), head: random.between(-1, 1), low, high: low + random.unit() },
  ]);
}

/** Coefficients small enough that states stay of order one. */
function randomUpdate(random: Random, readable: ReadonlySet<number>): LinearUpdate {
  const coefficient = (): number => (random.chance(0.3) ? 0 : random.between(-0.4, 0.4));
  const history = Array.from({ length: historyLength }, (_, slot) => (readable.has(slot) ? coefficient() / 2 : 0));
  return { x: coefficient(), y: coefficient(), out: coefficient(), history };
}

/** A record before the first evaluation, which may use no output. */
function silentRecord(random: Random): StepRecord {
  const update = (): LinearUpdate => ({ ...randomUpdate(random, new Set()), out: 0 });
  return stepRecord({
    evaluate: false,
    time: random.between(0, 999),
    prediction: { input: random.between(-1, 1), output: random.between(-1, 1) },
    x: update(),
    variance: { kind: 'scalar', deviation: random.unit() },
    y: random.chance(0.5) ? update() : null,
  });
}

function randomRecord(random: Random, first: boolean, written: Set<number>): StepRecord {
  const slot = random.below(historyLength);
  const readable = new Set([...written, slot]);
  written.add(slot);
  const x = random.chance(0.8) ? randomUpdate(random, readable) : null;
  return stepRecord({
    evaluate: first || random.chance(0.8),
    time: random.between(0, 999),
    inputScale: random.pick([1, random.between(0.5, 1.5)]),
    read: random.pick(['x', 'y']),
    prediction: { input: random.between(-1, 1), output: random.between(-1, 1) },
    clip: randomClip(random),
    store: { slot, input: random.between(-1, 1), data: random.between(-1, 1) },
    x,
    variance: x === null ? { kind: 'none' } : randomVariance(random),
    y: random.chance(0.5) ? randomUpdate(random, readable) : null,
  });
}

/** A program that uses every feature of the record in random combinations. */
export function randomProgram(seed: number, length: number): StepProgram {
  const random = new Random(seed);
  const written = new Set<number>();
  const silent = random.chance(0.3) ? random.below(3) : 0;
  const records = Array.from({ length }, (_, index) =>
    index < silent ? silentRecord(random) : randomRecord(random, index === silent, written),
  );
  return stepProgram(records, { history: historyLength, initialScale: random.between(0.5, 1.5), head: null });
}
