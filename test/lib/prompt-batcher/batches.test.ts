// The batches that a batcher of prompts opens for sizes and additions, and gives back.
import { describe, expect, it, vi } from 'vitest';

import { ConditionalUNet, type PromptRequest } from '../../../lib/index.js';
import { failure } from '../../support/failure.js';
import { lora, long, pipeline, request, running, usePipeline } from './pipeline.js';

usePipeline();

describe('batches', () => {
  it('go for others when they are idle, and are not taken from those that run', async () => {
    await using batcher = await pipeline.batcher({ batches: 2 });
    const sizes = (height: number): PromptRequest => ({ ...request, height, guidance: 1 });
    await batcher.generate(sizes(16));
    expect(batcher.stats().batches).toBe(2);
    const open = vi.spyOn(pipeline.unet, 'bytesFor');
    await batcher.generate(sizes(24));
    expect(batcher.stats().batches).toBe(2);
    const asked = open.mock.calls.length;
    await batcher.generate(sizes(16));
    await batcher.generate(sizes(24));
    expect(open.mock.calls.length).toBe(asked);
    const steps = batcher.stats().steps;
    const busy = [batcher.generate({ ...long, height: 16 }), batcher.generate({ ...long, height: 24 })];
    await running(batcher, 4);
    const refused = await failure(batcher.generate(sizes(40)));
    expect(refused.message).toBe(
      'requests of 2 sizes and sets of LoRAs are running, the most that may be at once (batches)',
    );
    expect(refused.code).toBe('ERR_DPM_OVERLOADED');
    expect(refused.retryAfterMs).toBeGreaterThan(0);
    await Promise.all(busy);
    expect((await batcher.generate(sizes(40))).images?.shape).toEqual([1, 3, 40, 16]);
    // Counts of batches that have gone stay.
    expect(batcher.stats().steps).toBeGreaterThan(steps + 2000);
  });

  it('of networks that the pipeline has no longer go, and hold no memory', async () => {
    await using batcher = await pipeline.batcher({ batches: 4 });
    const size = { height: 32, width: 32, steps: 1, prompt: 'a' };
    await batcher.generate(size);
    await pipeline.setLoras([{ path: lora }]);
    const own = await batcher.generate(size);
    expect(batcher.stats().batches).toBe(1);
    const { host } = pipeline.memory();
    await pipeline.setLoras([]);
    const base = await batcher.generate(size);
    expect(base.latents).not.toEqual(own.latents);
    expect(batcher.stats().batches).toBe(1);
    expect(pipeline.memory().host).toBeLessThanOrEqual(host);
    // Those of requests with additions of their own stay.
    await batcher.generate({ ...size, loras: [{ path: lora }] });
    await pipeline.setLoras([{ path: lora, scale: 0.5 }]);
    await batcher.generate(size);
    expect(batcher.stats().batches).toBe(2);
  });

  it('that cannot be opened leave nothing behind', async () => {
    await using batcher = await pipeline.batcher({ promptSlots: 0 });
    vi.spyOn(pipeline.vae, 'decode').mockRejectedValueOnce(new Error('no room'));
    await expect(batcher.generate({ ...request, height: 40 })).rejects.toThrow('no room');
    const bytes = batcher.memory;
    expect(batcher.stats()).toMatchObject({ batches: 1, prompts: 0, prompted: 0, unfinished: 0 });
    await batcher.generate({ ...request, height: 40 });
    expect(batcher.stats().batches).toBe(2);
    expect(batcher.memory).toBeGreaterThan(bytes);
  });

  it('are not opened for a request whose batcher is closed while its additions are read', async () => {
    const batcher = await pipeline.batcher();
    const closed = vi.spyOn(ConditionalUNet.prototype, 'close');
    const ended = failure(batcher.generate({ ...request, loras: [{ path: lora }] }));
    await batcher.close();
    expect((await ended).code).toBe('ERR_DPM_CLOSED');
    expect(batcher.stats()).toMatchObject({ batches: 0, unfinished: 0 });
    expect(batcher.memory).toBe(0);
    // The network that was made with them is gone, the pipeline's own is there.
    expect(closed.mock.contexts).toHaveLength(1);
    expect(closed.mock.contexts).not.toContain(pipeline.unet);
    closed.mockRestore();
  });

  it('that would be too many hold no networks with additions', async () => {
    await using batcher = await pipeline.batcher({ batches: 1 });
    const leaving = new AbortController();
    const ended = failure(batcher.generate({ ...long, signal: leaving.signal }));
    await running(batcher);
    const closed = vi.spyOn(ConditionalUNet.prototype, 'close');
    const refused = await failure(batcher.generate({ ...request, loras: [{ path: lora }] }));
    expect(refused.code).toBe('ERR_DPM_OVERLOADED');
    expect(closed.mock.contexts).toHaveLength(1);
    expect(closed.mock.contexts).not.toContain(pipeline.unet);
    closed.mockRestore();
    leaving.abort();
    expect((await ended).code).toBe('ERR_DPM_ABORTED');
  });

  it('give networks with additions back when they go', async () => {
    await using batcher = await pipeline.batcher({ batches: 1 });
    const size = { height: 32, width: 32, steps: 1, prompt: 'a' };
    await batcher.generate(size);
    const { host } = pipeline.memory();
    for (let i = 0; i < 2; ++i) await batcher.generate({ ...size, loras: [{ path: lora }] });
    expect(pipeline.memory().host).toBeGreaterThan(host);
    await batcher.generate(size);
    expect(pipeline.memory().host).toBeLessThanOrEqual(host);
    expect(batcher.stats().batches).toBe(1);
  });
});
