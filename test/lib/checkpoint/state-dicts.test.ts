// Places of the weights in files of training scripts.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { openPytorchWeights } from '../../../lib/checkpoint/state-dicts.js';
import { temporaryFolder } from '../../support/temporary.js';
import { archive, checkpointEntries, floats, pickle, type Part } from '../../support/write-pytorch.js';

const elements = 64;

/** A tensor of `count` numbers that begin at `first`; none: a single number. */
function tensor(first: number, count?: number): Part {
  const sizes = count === undefined ? [] : [pickle.integer(count)];
  const strides = count === undefined ? [] : [pickle.integer(1)];
  return pickle.tensor(pickle.storage('0', elements), pickle.integer(first), sizes, strides);
}

type Value = Part | { [key: string]: Value };

/** Objects become dictionaries. */
function pickled(value: Value): Part {
  if (typeof value === 'string' || Array.isArray(value) || value instanceof Uint8Array) return value as Part;
  return pickle.dictionary(...Object.entries(value).flatMap(([key, entry]) => [pickle.text(key), pickled(entry)]));
}

async function place(root: Value): Promise<{ place: string; offsets: Record<string, number> }> {
  const path = join(temporaryFolder(), 'training.pt');
  const data = floats(...Array.from({ length: elements }, (_, i) => i));
  await writeFile(path, archive(checkpointEntries(pickle.whole(pickled(root)), { '0': data })));
  const found = await openPytorchWeights(path);
  const { tensors } = found.checkpoint;
  const least = Math.min(...[...tensors.values()].map(({ offset }) => offset));
  return {
    place: found.place,
    offsets: Object.fromEntries([...tensors].map(([name, { offset }]) => [name, (offset - least) / 4])),
  };
}

const plain = { a: tensor(0, 4), b: tensor(4, 2) };
const averaged = { a: tensor(8, 4), b: tensor(12, 2) };

describe('weights of training checkpoints', () => {
  it.each<[string, Value, string]>([
    ['the file itself', plain, ''],
    ['beside a count of steps', { state_dict: plain, step: tensor(1) }, 'state_dict'],
    ['averaged ones first', { model: plain, ema: averaged, step: tensor(1) }, 'ema'],
    ['averaged ones with their rate', { model: plain, ema: { decay: tensor(1), shadow: averaged } }, 'ema > shadow'],
    [
      'averaged ones of one network',
      { models_states: {}, ema_models_states: { nnet: averaged } },
      'ema_models_states > nnet',
    ],
    ['a rate is no weights', { model: plain, ema: pickle.integer(1) }, 'model'],
  ])('%s', async (_, root, expected) => {
    expect(await place(root)).toEqual({ place: expected, offsets: { a: 0, b: 4 } });
  });

  it('averaged ones in a list, whatever holds the others', async () => {
    const shadows = pickle.list(tensor(8, 4), tensor(12, 2));
    const found = await place({ net: plain, ema: { shadow_params: shadows } });
    expect(found).toEqual({ place: 'ema > shadow_params', offsets: { a: 0, b: 4 } });
  });

  it.each<[string, Value, RegExp]>([
    ['averages in an unknown form', { model: plain, ema: { x: averaged, y: averaged } }, /averaged weights under ema/],
    [
      'averages of another shape',
      { model: plain, ema: { shadow_params: pickle.list(tensor(8, 4), tensor(12, 3)) } },
      /shape of model > b/,
    ],
    [
      'too many averages',
      { model: { a: tensor(0, 4) }, ema: { shadow_params: pickle.list(tensor(8, 4), tensor(12, 2)) } },
      /2 tensors for 1/,
    ],
    ['no weights', { step: tensor(1), other: plain, another: plain }, /no weights are found/],
  ])('refuses %s', async (_, root, message) => {
    await expect(place(root)).rejects.toThrow(message);
  });
});
