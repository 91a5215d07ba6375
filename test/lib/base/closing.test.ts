// The end of what waits for functions of its caller's.
import { describe, expect, it, vi } from 'vitest';

import { Closing } from '../../../lib/base/closing.js';
import { Device } from '../../../lib/engine/device.js';
import { DiffusionModel } from '../../../lib/model.js';
import { failure } from '../../support/failure.js';

const closed = { code: 'ERR_DPM_CLOSED', message: 'the shop is closed' };

describe('closing', () => {
  it('lets work come to what it comes to', async () => {
    const closing = new Closing('shop');
    closing.requireOpen();
    expect(await closing.during(() => 1)).toBe(1);
    expect(await closing.during(() => Promise.resolve(2))).toBe(2);
    const thrown = new Error('own');
    await expect(
      closing.during(() => {
        throw thrown;
      }),
    ).rejects.toBe(thrown);
    await expect(closing.during(() => Promise.reject(thrown))).rejects.toBe(thrown);
  });

  it('ends all that is waited for, whatever comes of it later', async () => {
    const closing = new Closing('shop');
    const rejects: ((error: Error) => void)[] = [];
    const waiting = [1, 2].map(() => failure(closing.during(() => new Promise((_, reject) => rejects.push(reject)))));
    closing.close();
    closing.close();
    for (const reject of rejects) reject(new Error('late'));
    for (const each of waiting) expect(await each).toMatchObject(closed);
  });

  it('begins nothing afterwards', async () => {
    const closing = new Closing('shop');
    closing.close();
    const work = vi.fn();
    expect(await failure(closing.during(work))).toMatchObject(closed);
    expect(work).not.toHaveBeenCalled();
    expect(() => {
      closing.requireOpen();
    }).toThrow('the shop is closed');
  });

  it('of a network leaves no derivative behind', async () => {
    await using device = Device.open({ device: 'cpu', threads: 1 });
    const model = await DiffusionModel.load('mnist', { device });
    await model.close();
    const before = device.memory().host;
    const x = new Float32Array(784);
    const error = await failure(model.unet.pullback(x, 1, { cotangent: x }));
    expect(error).toMatchObject({ code: 'ERR_DPM_CLOSED', message: 'the network is closed' });
    expect(device.memory().host).toBe(before);
  });
});
