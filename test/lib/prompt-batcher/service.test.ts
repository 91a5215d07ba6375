// What a batcher of prompts takes and refuses, and what is left of requests that end, for any reason.
import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { DpmError, ImageBatch, type PromptRequest } from '../../../lib/index.js';
import { Admission } from '../../../lib/batch/admission.js';
import { ServiceClock } from '../../../lib/batch/clock.js';
import { failure } from '../../support/failure.js';
import { lora, long, pipeline, request, running, usePipeline } from './pipeline.js';

usePipeline();

describe('admission', () => {
  it('refuses at once what would wait too long, whatever its size is', async () => {
    await using batcher = await pipeline.batcher({ maxWait: 1 });
    const first = batcher.generate(long);
    await running(batcher);
    const before = batcher.stats();
    const refused = await failure(batcher.generate({ ...request, height: 32, prompt: 'a text that nobody has seen' }));
    expect(refused.code).toBe('ERR_DPM_OVERLOADED');
    expect(refused.retryAfterMs).toBeGreaterThan(1);
    const after = batcher.stats();
    // What was told before does not change.
    expect(before.refused).toEqual({ wait: 0, deadline: 0, bytes: 0 });
    expect(after.refused).toEqual({ wait: 1, deadline: 0, bytes: 0 });
    // Nothing was done for it.
    expect(after.batches).toBe(before.batches);
    expect(after.prompts).toBe(before.prompts);
    expect(batcher.expectedWait({ priority: 'high' })).toBe(0);
    expect(() => batcher.requireRoom()).toThrow(/above maxWait/);
    expect(batcher.stats().refused.wait).toBe(2);
    expect(batcher.requireRoom({ priority: 'high' })).toBe(0);
    await batcher.generate({ ...request, priority: 'high' });
    await first;
    expect(batcher.stats().backlog).toBe(0);
  });

  it('charges a tenant for the time of making its program, be it right or wrong', async () => {
    await using batcher = await pipeline.batcher({ rows: 1 });
    const charge = vi.spyOn(ServiceClock.prototype, 'charge');
    onTestFinished(() => {
      charge.mockRestore();
    });
    await batcher.generate({ ...request, tenant: 'a', weight: 2 });
    const wrong = await failure(batcher.generate({ ...request, tenant: 'b', sampler: 'deis', steps: 5, order: 9 }));
    expect(wrong.message).toMatch(/order is 9/);
    expect(charge.mock.calls).toEqual([
      ['a', 2, expect.any(Number)],
      ['b', 1, expect.any(Number)],
    ]);
  });

  it('counts evaluations and images to be decoded', async () => {
    await using batcher = await pipeline.batcher({ rows: 1, maxWork: 0 });
    const workOf = async (request: PromptRequest): Promise<number> => {
      const { message } = await failure(batcher.generate(request));
      return Number(/takes (\d+) ms of the whole batch, above maxWork of 0 ms/.exec(message)?.[1]);
    };
    const guided = await workOf({ ...long, count: 100 });
    const plain = await workOf({ ...long, count: 100, guidance: 1 });
    expect(guided / plain).toBeCloseTo(2, 1);
    expect((await workOf({ ...long, count: 100, steps: 500 })) / guided).toBeCloseTo(0.5, 1);
    const shown = { ...request, count: 1000, steps: 1, guidance: 1 };
    const latents = await workOf({ ...shown, output: 'latents' });
    const decoded = await workOf(shown);
    expect(decoded).toBeGreaterThan(latents);
    // Pictures to begin with are encoded, which is taken for as long as decoding.
    const image = new ImageBatch(new Float32Array(768), [1, 3, 16, 16], [-1, 1]);
    const begun = await workOf({ ...shown, image, strength: 1 });
    expect((begun - latents) / (decoded - latents)).toBeCloseTo(2, 1);
  });

  it('is by what the request says of its tenant, weight, priority and deadline', async () => {
    await using batcher = await pipeline.batcher();
    const terms = { tenant: 'a', weight: 3, priority: 'high', deadline: 60_000 } as const;
    const asked = vi.spyOn(Admission.prototype, 'requireRoom');
    await batcher.generate({ ...request, ...terms });
    // Before it takes a lane, and again in the lane.
    for (const call of [0, 1]) expect(asked.mock.calls[call]?.[0]).toMatchObject(terms);
    asked.mockRestore();
  });

  it('refuses too much work and too many bytes, by name', async () => {
    await using small = await pipeline.batcher({ maxWork: 0 });
    expect((await failure(small.generate(long))).message).toMatch(/above maxWork of 0 ms/);
    await using batcher = await pipeline.batcher({ maxWaitingBytes: 1000 });
    const init = new Float32Array(4 * 16 * 5);
    const many = { ...request, count: 5, init, guidance: 1, steps: 1, output: 'latents' } as const;
    expect((await failure(batcher.generate(many))).message).toMatch(/at most maxWaitingBytes, 1000 bytes/);
    expect(batcher.stats().unfinished).toBe(0);
  });

  it('ends what is not done in time', async () => {
    await using batcher = await pipeline.batcher();
    const late = await failure(batcher.generate({ ...long, deadline: 1 }));
    expect(late.code).toBe('ERR_DPM_DEADLINE');
    expect(batcher.stats()).toMatchObject({ unfinished: 0, prompted: 0, backlog: 0 });
  });

  it('takes the wrong options of a request by their names, at the call', async () => {
    await using batcher = await pipeline.batcher();
    for (const [wrong, message] of [
      [{ batch: 2 }, /no option 'batch'/],
      [{ controls: [] }, /no option 'controls'/],
      [{ guides: [] }, /no option 'guides'/],
      [{ prompt: undefined }, /prompt is undefined/],
      [{ prompt: 7 }, /prompt is 7/],
      [{ height: 17 }, /height is 17/],
      [{ tenant: 7 }, /tenant is 7/],
      [{ loras: [{ path: 7 }] }, /loras\[0\]\.path is 7/],
      [{ eta: 'much' }, /eta/],
      [{ previewEvery: 2 }, /previewEvery is for onPreview/],
      [{ previewOf: 'state' }, /previewOf is for onPreview/],
      [{ sampler: 'npr-ddim' }, /second output 'npr'/],
      [{ loras: [{ path: '/nowhere' }] }, /\/nowhere/],
    ] as const) {
      expect((await failure(batcher.generate({ ...request, ...wrong } as never))).message).toMatch(message);
    }
    await expect(failure(batcher.generate(null as never))).resolves.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
    await expect(failure(pipeline.batcher({ batches: 0 }))).resolves.toMatchObject({ message: /batches is 0/ });
    await expect(failure(pipeline.batcher({ promptSlots: -1 }))).resolves.toMatchObject({
      message: /promptSlots is -1/,
    });
    expect(batcher.stats()).toMatchObject({ unfinished: 0, prompted: 0, backlog: 0 });
  });
});

describe('a request that is aborted', () => {
  it('leaves the others what they are, and nothing behind', async () => {
    await using batcher = await pipeline.batcher({ promptSlots: 0 });
    const expected = await pipeline.generate({ ...request, seed: 2, steps: 40, prompt: 'a dog' });
    const leaving = new AbortController();
    const ended = failure(batcher.generate({ ...long, prompt: 'a bird', signal: leaving.signal }));
    await running(batcher, 2);
    const other = batcher.generate({ ...request, seed: 2, steps: 40, prompt: 'a dog' });
    await running(batcher, 2);
    leaving.abort();
    expect((await ended).code).toBe('ERR_DPM_ABORTED');
    expect((await other).images?.data).toEqual(expected.images?.data);
    expect(batcher.stats()).toMatchObject({ unfinished: 0, prompted: 0, prompts: 0, backlog: 0 });
  });

  it('does not end another one that waits for the same text', async () => {
    await using batcher = await pipeline.batcher();
    const leaving = new AbortController();
    const ended = failure(batcher.generate({ ...request, prompt: 'a new text', signal: leaving.signal }));
    const other = batcher.generate({ ...request, prompt: 'a new text' });
    leaving.abort();
    expect((await ended).code).toBe('ERR_DPM_ABORTED');
    expect((await other).latents).toEqual((await pipeline.generate({ ...request, prompt: 'a new text' })).latents);
  });

  it('decodes none of its images', async () => {
    await using batcher = await pipeline.batcher();
    await batcher.generate(request);
    const decode = vi.spyOn(pipeline.vae, 'decode');
    const leaving = new AbortController();
    decode.mockImplementationOnce((_, { signal }) => {
      leaving.abort();
      const aborted = new DpmError('ERR_DPM_ABORTED', 'the work was aborted');
      return signal?.aborted === true ? Promise.reject(aborted) : Promise.resolve(new Float32Array());
    });
    const ended = await failure(batcher.generate({ ...request, count: 3, signal: leaving.signal }));
    expect(ended.code).toBe('ERR_DPM_ABORTED');
    expect(decode).toHaveBeenCalledTimes(1);
    expect(batcher.stats()).toMatchObject({ unfinished: 0, prompted: 0, backlog: 0 });
  });

  it('is late where its deadline passes while its images are decoded', async () => {
    await using batcher = await pipeline.batcher();
    await batcher.generate(request);
    vi.spyOn(pipeline.vae, 'decode').mockImplementationOnce(
      (_, { signal }) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener('abort', () => {
            reject(new DpmError('ERR_DPM_ABORTED', 'the work was aborted'));
          });
        }),
    );
    expect((await failure(batcher.generate({ ...request, deadline: 500 }))).code).toBe('ERR_DPM_DEADLINE');
  });
});

describe('texts', () => {
  it('are encoded once for all requests, and so many are kept', async () => {
    await using batcher = await pipeline.batcher({ promptSlots: 2 });
    const prepare = vi.spyOn(pipeline.unet, 'prepare');
    const draw = (prompt: string): Promise<unknown> => batcher.generate({ ...request, guidance: 1, prompt });
    await Promise.all(['a', 'a', 'b'].map(draw));
    expect(prepare).toHaveBeenCalledTimes(2);
    await draw('a');
    await draw('b');
    expect(prepare).toHaveBeenCalledTimes(2);
    await draw('c');
    expect(batcher.stats().prompts).toBe(2);
    expect(prepare).toHaveBeenCalledTimes(3);
    // The one that was used last is kept, the one before it is gone.
    await draw('b');
    expect(prepare).toHaveBeenCalledTimes(3);
    await draw('a');
    expect(prepare).toHaveBeenCalledTimes(4);
    // Other layers make other states of the same text.
    await batcher.generate({ ...request, guidance: 1, prompt: 'a', skippedLayers: 1 });
    expect(prepare).toHaveBeenCalledTimes(5);
  });

  it('that could not be encoded are tried anew', async () => {
    await using batcher = await pipeline.batcher();
    vi.spyOn(pipeline.unet, 'prepare').mockRejectedValueOnce(new Error('no room'));
    await expect(batcher.generate({ ...request, prompt: 'new' })).rejects.toThrow('no room');
    expect(batcher.stats()).toMatchObject({ unfinished: 0, prompted: 0, backlog: 0 });
    await batcher.generate({ ...request, prompt: 'new' });
  });
});

describe('requests that come and go', () => {
  it('have what each has alone, and leave nothing', async () => {
    await using batcher = await pipeline.batcher({ promptSlots: 3, maxWait: 1e9, maxWork: 1e9 });
    const texts = ['a cat', 'a dog', 'a bird', 'a fish', 'a house'];
    const expected = new Map<string, Float32Array>();
    const requests = Array.from({ length: 60 }, (_, i) => {
      const prompt = texts[(i * 7) % 5]!;
      const [steps, height] = [1 + ((i * 3) % 4), i % 6 === 0 ? 24 : 16];
      const guidance = i % 3 === 0 ? 1 : 5;
      return { ...request, prompt, steps, height, guidance, seed: i % 2 };
    });
    const keyOf = (request: object): string => JSON.stringify(request);
    for (const request of requests) {
      if (!expected.has(keyOf(request))) expected.set(keyOf(request), (await pipeline.generate(request)).latents);
    }
    const drawn = requests.map(async (request, i) => {
      if (i % 5 !== 4) return (await batcher.generate(request)).latents;
      // Every fifth one leaves, at any time.
      const leaving = new AbortController();
      setTimeout(() => {
        leaving.abort();
      }, i);
      return batcher.generate({ ...request, signal: leaving.signal }).then(
        ({ latents }) => latents,
        (error: unknown) => {
          expect((error as DpmError).code).toBe('ERR_DPM_ABORTED');
          return null;
        },
      );
    });
    for (const [i, latents] of (await Promise.all(drawn)).entries()) {
      if (latents !== null) expect(latents, `request ${i}`).toEqual(expected.get(keyOf(requests[i]!)));
    }
    const { prompts, ...left } = batcher.stats();
    expect(left).toMatchObject({ unfinished: 0, prompted: 0, backlog: 0, resident: 0, waiting: 0, batches: 3 });
    expect(prompts).toBe(3);
  });
});

describe('an end', () => {
  it('by close settles all requests, those included that wait for their batch', async () => {
    const batcher = await pipeline.batcher();
    const all = [long, { ...long, height: 24 }, { ...long, loras: [{ path: lora }] }, { ...long, prompt: 'new' }];
    const ended = all.map((request) => failure(batcher.generate(request)));
    await running(batcher);
    await batcher.close();
    for (const each of ended) expect((await each).code).toBe('ERR_DPM_CLOSED');
    expect(batcher.stats()).toMatchObject({ unfinished: 0, prompted: 0, batches: 0, resident: 0 });
    expect(batcher.memory).toBe(0);
    expect((await failure(batcher.generate(request))).message).toBe('the batcher is closed');
    await batcher.close();
    // The pipeline is there for others.
    await pipeline.generate(request);
  });

  it('by the pipeline ends its batchers', async () => {
    const batcher = await pipeline.batcher();
    const ended = failure(batcher.generate(long));
    await running(batcher);
    await pipeline.close();
    expect((await ended).code).toBe('ERR_DPM_CLOSED');
    expect((await failure(pipeline.batcher())).code).toBe('ERR_DPM_CLOSED');
  });

  it('by drain is after the last request', async () => {
    await using batcher = await pipeline.batcher();
    const last = batcher.generate({ ...long, steps: 100 });
    await running(batcher);
    let isDone = false;
    void last.then(() => {
      isDone = true;
    });
    const drained = batcher.drain();
    expect((await failure(batcher.generate(request))).message).toBe('the batcher takes no more requests');
    expect(() => batcher.stream(request)).toThrow('the batcher takes no more requests');
    await drained;
    expect(isDone).toBe(true);
  });

  it('that comes while it is opened leaves nothing open', async () => {
    const opening = failure(pipeline.batcher());
    await pipeline.close();
    expect((await opening).code).toBe('ERR_DPM_CLOSED');
  });
});
