import { getEventListeners } from 'node:events';
import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { abortable } from '../../../lib/base/abort.js';
import { DpmError, dpmErrorCodes, toDpmError } from '../../../lib/base/errors.js';
import { chooseDevice } from '../../../lib/engine/device.js';
import { packagePath } from '../../support/temporary.js';

describe('errors', () => {
  it('keep the code of the engine', () => {
    const native = Object.assign(new Error('no memory'), { code: 'ERR_DPM_OUT_OF_MEMORY' });
    expect(toDpmError(native)).toMatchObject({ code: 'ERR_DPM_OUT_OF_MEMORY', message: 'no memory', cause: native });
    expect(toDpmError(Object.assign(new Error('x'), { code: 'ENOENT' })).code).toBe('ERR_DPM_INTERNAL');
    expect(toDpmError('text')).toMatchObject({ code: 'ERR_DPM_INTERNAL', message: 'text' });
    const own = new DpmError('ERR_DPM_CONFIG', 'x');
    expect(toDpmError(own)).toBe(own);
  });

  it('of native code are among them, one for every code', () => {
    const header = readFileSync(packagePath('native/core/error.h'), 'utf8');
    const enumerators = [...header.matchAll(/^ {2}k(\w+) = \d+,$/gm)].map(([, name]) => name!);
    const source = readFileSync(packagePath('native/core/error.cc'), 'utf8');
    const named = [...source.matchAll(/case ErrorCode::k(\w+):\s+return "(\w+)";/g)];
    expect(named.map(([, name]) => name)).toEqual(enumerators);
    for (const [, name, code] of named.slice(1)) expect(dpmErrorCodes, name).toContain(code);
  });

  it('are all documented', () => {
    const text = readFileSync(packagePath('docs/errors.md'), 'utf8');
    for (const code of dpmErrorCodes) expect(text).toContain(`\`${code}\``);
  });
});

describe('abortable work', () => {
  it('rejects with the reason as cause and removes its listener', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    let cancel: (() => void) | undefined;
    const work = abortable(
      controller.signal,
      () => cancel?.(),
      () =>
        new Promise<never>((_, reject) => {
          cancel = () => {
            reject(new Error('cancelled'));
          };
        }),
    );
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
    controller.abort(reason);
    await expect(work).rejects.toMatchObject({ code: 'ERR_DPM_ABORTED', cause: reason });
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });

  it('does not start when the signal is aborted, and leaves no listener after success', async () => {
    const never = () => Promise.reject(new Error('started'));
    await expect(abortable(AbortSignal.abort('why'), () => undefined, never)).rejects.toMatchObject({ cause: 'why' });
    const { signal } = new AbortController();
    await abortable(
      signal,
      () => undefined,
      () => Promise.resolve(),
    );
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});

describe('the choice of a device', () => {
  const known = [
    { name: 'cpu', usable: true, score: 10, description: 'avx2', reason: '' },
    { name: 'cuda:0', usable: false, score: 0, description: '', reason: 'no driver in /usr/lib' },
    { name: 'reference', usable: true, score: 1, description: '', reason: '' },
  ];

  it('takes the best usable one, and says why not', () => {
    expect(chooseDevice('auto', known)).toBe('cpu');
    // The first one of equally good devices is chosen.
    expect(chooseDevice('auto', [...known, { ...known[0]!, name: 'cuda:1' }])).toBe('cpu');
    expect(chooseDevice('reference', known)).toBe('reference');
    expect(() => chooseDevice('cuda', known)).toThrow(/no driver in/);
    expect(() => chooseDevice('tpu', known)).toThrow(/known: auto, cpu, cuda:0, reference/);
    expect(() => chooseDevice('auto', [])).toThrow(expect.objectContaining({ code: 'ERR_DPM_DEVICE' }));
  });
});
