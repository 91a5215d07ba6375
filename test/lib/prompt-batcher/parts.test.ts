// The parts that batchers of prompts are made of.
import { describe, expect, it } from 'vitest';

import { Admission } from '../../../lib/batch/admission.js';
import { Pace } from '../../../lib/batch/pace.js';
import { Seats } from '../../../lib/latents/batcher/seats.js';
import { KnownPrompts } from '../../../lib/latents/known-prompts.js';
import type { PromptedSample } from '../../../lib/latents/prompted-network.js';
import type { PromptText } from '../../../lib/latents/prompts.js';
import type { PromptedNetworks } from '../../../lib/latents/swapped-networks.js';
import { failure } from '../../support/failure.js';
import { DpmError } from '../../../lib/index.js';

describe('seats', () => {
  it('are each sample of its own, and given again as late as can be', () => {
    const seats = new Seats();
    const [a, b, c] = ['a', 'b', 'c'] as unknown as PromptedSample[];
    const first = seats.take([a!, b!]);
    expect(first).toEqual([0, 1]);
    expect(first.map(seats.sampleOf)).toEqual([a, b]);
    seats.release([0]);
    expect(seats.sampleOf(0)).toBeUndefined();
    expect(seats.take([c!])).toEqual([2]);
    expect(seats.count).toBe(2);
    expect(seats.sampleOf(1)).toBe(b);
    seats.release([1, 2]);
    expect(seats.count).toBe(0);
  });
});

describe('a pace', () => {
  const curve = [
    { rows: 1, ms: 10 },
    { rows: 2, ms: 10 },
  ];
  const pace = new Pace(curve, 2);

  it('counts shares of rows, and what a sample takes beside its evaluations', () => {
    expect(pace.workOf({ evaluations: 10, rows: 1 })).toEqual({ work: 50, run: 100 });
    expect(pace.workOf({ evaluations: 10, rows: 0.5, beside: 7 })).toEqual({ work: 32, run: 57 });
  });

  it('is that of the batch that a request is for, among those of one admission', () => {
    const admission = new Admission(
      { order: 'share', stretch: 1 },
      { maxWait: 1000, maxWork: 1000, maxWaitingBytes: 1000 },
    );
    const terms = { tenant: '', weight: 1, priority: 'normal', deadline: undefined } as const;
    const slow = new Pace([{ rows: 1, ms: 100 }], 1);
    const demand = { samples: [{ evaluations: 2, rows: 1 }], bytes: 0 };
    admission.admit(terms, demand, slow);
    expect(admission.backlog).toBe(200);
    admission.admit(terms, demand, pace);
    expect(admission.backlog).toBe(210);
    // What is done beside the evaluations counts where a request has to be done in time.
    const late = { ...demand, samples: [{ evaluations: 1, rows: 1, beside: 30 }] };
    expect(() => admission.admit({ ...terms, priority: 'high', deadline: 39 }, late, pace)).toThrow(/40 ms of its own/);
    admission.admit({ ...terms, priority: 'high', deadline: 40 }, late, pace);
  });
});

describe('known texts', () => {
  /** Networks that count what they encode; a text `bad` fails. */
  function networks() {
    const encoded: string[] = [];
    let prepared = 0;
    const made = {
      encoders: {
        encode: (texts: readonly PromptText[]) => {
          encoded.push(...texts.map(({ text }) => text));
          if (texts.some(({ text }) => text === 'bad')) return Promise.reject(new DpmError('ERR_DPM_FILE', 'bad'));
          return Promise.resolve(
            texts.map(({ text }) => ({ hidden: new Float32Array(3), pooled: null, truncated: false, text })),
          );
        },
      },
      unet: { prepare: () => Promise.resolve({ number: prepared++ }) },
    };
    return { networks: made as unknown as PromptedNetworks, encoded };
  }
  const text = (name: string, chunks: number | null = null): PromptText => ({ text: name, chunks });
  const how = { skippedLayers: 0, signal: undefined };

  it('are encoded at once, by what makes them different, and given back', async () => {
    const { networks: own, encoded } = networks();
    const known = new KnownPrompts(own, 1);
    const taken: (() => void)[] = [];
    const find = await known.seen([text('a'), text('b'), text('a'), text('a', 2)], how, taken);
    expect(encoded).toEqual(['a', 'b', 'a']);
    expect(find(text('a'))).not.toBe(find(text('a', 2)));
    await known.seen([text('a')], { ...how, skippedLayers: 1 }, taken);
    expect(encoded).toEqual(['a', 'b', 'a', 'a']);
    expect(known.count).toBe(4);
    for (const back of taken) back();
    // The last one that was used is kept.
    expect(known.count).toBe(1);
    await known.seen([text('a')], { ...how, skippedLayers: 1 }, []);
    expect(encoded).toHaveLength(4);
  });

  it('that somebody waits for are not encoded twice, and stay while one has them', async () => {
    const { networks: own, encoded } = networks();
    const known = new KnownPrompts(own, 0);
    const [first, second]: (() => void)[][] = [[], []];
    await Promise.all([known.seen([text('a')], how, first), known.seen([text('a'), text('b')], how, second)]);
    expect(encoded).toEqual(['a', 'b']);
    for (const back of first!) back();
    expect(known.count).toBe(2);
    for (const back of second!) back();
    expect(known.count).toBe(0);
  });

  it('that fail are tried anew, and are none of those that are kept', async () => {
    const { networks: own, encoded } = networks();
    const known = new KnownPrompts(own, 4);
    const taken: (() => void)[] = [];
    expect((await failure(known.seen([text('good'), text('bad')], how, taken))).message).toBe('bad');
    for (const back of taken) back();
    await expect.poll(() => known.count).toBe(0);
    await known.seen([text('good')], how, []);
    expect(encoded).toEqual(['good', 'bad', 'good']);
  });

  it('end where their call is aborted, one after the other', async () => {
    const { networks: own } = networks();
    const known = new KnownPrompts(own);
    const leaving = new AbortController();
    leaving.abort();
    const ended = await failure(known.seen([text('a'), text('b')], { ...how, signal: leaving.signal }));
    expect(ended.code).toBe('ERR_DPM_ABORTED');
  });

  it('have zeros of as many tokens, which are made once', async () => {
    const { networks: own } = networks();
    const known = new KnownPrompts(own);
    const like = (length: number) =>
      known.zerosLike({ hidden: new Float32Array(length), pooled: new Float32Array(2), truncated: false });
    const [a, b] = [await like(3), await like(3)];
    expect(b).toBe(a);
    expect(a.pooled).toEqual(new Float32Array(2));
    expect(await like(6)).not.toBe(a);
    // Those that were used last are kept, others are made again.
    expect(await like(3)).not.toBe(a);
  });
});
