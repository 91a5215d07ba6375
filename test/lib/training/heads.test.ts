// Variance heads that learn on a network which stays as it is: what their run writes, and how it goes on.
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { headNames, type HeadName } from '../../../lib/checkpoint/heads.js';
import type { RecomputePolicy } from '../../../lib/engine/binding.js';
import { readModelFolder } from '../../../lib/checkpoint/read-model.js';
import { readTrainable } from '../../../lib/checkpoint/trainable.js';
import { readJson } from '../../../lib/files/files.js';
import { DiffusionModel, Trainer, type TrainerOptions } from '../../../lib/index.js';
import { packagePath, pathsIn, temporaryFolder } from '../../support/temporary.js';
import { readTensors } from '../../support/tensors.js';
import { tinyImages, tinyRun } from '../../support/training-data.js';

const mnist = packagePath('models/mnist');
const newFolder = pathsIn(temporaryFolder());

const data = tinyImages(6, [1, 28, 28]);
const headRun = (changed: Partial<TrainerOptions> = {}): TrainerOptions => ({
  data: { ...data, labels: null },
  network: mnist,
  head: 'npr',
  device: 'cpu',
  threads: 1,
  steps: 3,
  batch: 2,
  rate: 1e-3,
  seed: 3,
  ...changed,
});

const headOf = (run: string, name = 'npr'): Promise<Buffer> => readFile(join(run, 'heads', `${name}.safetensors`));
const trunkOf = (run: string) => readTensors(join(run, 'unet/diffusion_pytorch_model.safetensors'));

async function run(options: TrainerOptions): Promise<void> {
  await using trainer = await Trainer.open(options);
  await trainer.run();
}

/** The bundled model without heads. */
let bare: string;
beforeAll(async () => {
  bare = newFolder();
  await cp(mnist, bare, { recursive: true });
  await rm(join(bare, 'heads'), { recursive: true });
});

/** A model that learns its variance, which has no place for a head. */
async function withLearnedVariance(): Promise<string> {
  const out = newFolder();
  const config = (await readJson(join(mnist, 'unet/config.json'))) as object;
  await run(headRun({ head: undefined, network: { ...config, out_channels: 2 }, steps: 1, out }));
  return out;
}

describe('a head of a model', () => {
  it('goes on from its weights, beside a network and other files that stay', async () => {
    const out = newFolder();
    await using trainer = await Trainer.open(headRun({ out }));
    expect(trainer.parameters).toBe(
      Object.values(await readTensors(join(mnist, 'heads/npr.safetensors'))).reduce(
        (sum, { length }) => sum + length,
        0,
      ),
    );
    expect(trainer.memory.parameters).toBe(20 * trainer.parameters);
    await trainer.run();
    expect(await trunkOf(out)).toEqual(await trunkOf(mnist));
    expect(await headOf(out, 'sn')).toEqual(await headOf(mnist, 'sn'));
    expect(await readFile(join(out, 'gamma.json'))).toEqual(await readFile(join(mnist, 'gamma.json')));
    expect(await readJson(join(out, 'heads/config.json'))).toEqual(await readJson(join(mnist, 'heads/config.json')));
    const [own, before] = [out, mnist].map((path) => readTensors(join(path, 'heads/npr.safetensors')));
    const learned = await own!;
    for (const [name, values] of Object.entries(await before!)) {
      expect(learned[name]!.length, name).toBe(values.length);
      // Three steps of 1e-3 move no weight by more than Adam does.
      expect(Math.max(...values.map((value, i) => Math.abs(value - learned[name]![i]!))), name).toBeLessThan(4e-3);
    }
    expect(learned).not.toEqual(await before!);
  });

  it('has all other files of its model beside it', async () => {
    const read = await readTrainable(mnist, { head: 'npr' });
    expect([...read.head!.companions.keys()].sort()).toEqual([
      'gamma.json',
      'heads/ocm.safetensors',
      'heads/sn.safetensors',
    ]);
  });

  it('serves the samplers of its model', async () => {
    const out = newFolder();
    await using trainer = await Trainer.open(headRun({ out }));
    await trainer.run();
    await using model = await trainer.model();
    await using original = await DiffusionModel.load(mnist, { device: 'cpu', threads: 1 });
    const call = { count: 1, steps: 3, seed: 1 };
    const byHead = await model.sample({ ...call, sampler: 'npr-ddpm' });
    expect(byHead.images.data).not.toEqual((await original.sample({ ...call, sampler: 'npr-ddpm' })).images.data);
    const without = await model.sample({ ...call, sampler: 'ddim' });
    expect(without.images.data).toEqual((await original.sample({ ...call, sampler: 'ddim' })).images.data);
  });

  it('learns otherwise than another one, from other images, and with another seed', async () => {
    const outs = await Promise.all(
      [{}, { head: 'sn' }, { data: { ...data, images: data.images.map((level) => 255 - level) } }, { seed: 4 }].map(
        async (changed) => {
          const out = newFolder();
          await run(headRun({ ...changed, out } as Partial<TrainerOptions>));
          return headOf(out, (changed as { head?: string }).head);
        },
      ),
    );
    for (const [i, other] of outs.entries()) if (i > 0) expect(other.equals(outs[0]!), String(i)).toBe(false);
  });

  it("has the form of the model's other heads, and no other", async () => {
    const partial = newFolder();
    await cp(mnist, partial, { recursive: true });
    await rm(join(partial, 'heads/npr.safetensors'));
    const config = (await readJson(join(mnist, 'heads/config.json'))) as Record<string, unknown>;
    await writeFile(join(partial, 'heads/config.json'), JSON.stringify({ ...config, heads: { sn: 'sn.safetensors' } }));
    const out = newFolder();
    await run(headRun({ network: partial, out, steps: 1 }));
    expect(await readJson(join(out, 'heads/config.json'))).toEqual({
      ...config,
      heads: { npr: 'npr.safetensors', sn: 'sn.safetensors' },
    });
    expect(await headOf(out, 'sn')).toEqual(await headOf(mnist, 'sn'));
    const shapes = async (path: string) => Object.keys(await readTensors(join(path, 'heads/npr.safetensors'))).sort();
    expect(await shapes(out)).toEqual(await shapes(mnist));
    await expect(Trainer.open(headRun({ network: partial, headMode: 'simple' }))).rejects.toThrow(
      /headMode is simple, the heads of .* are complex/,
    );
  });
});

it('a head of a model keeps the name of its file, and has to fit the network', async () => {
  const [own, out] = [newFolder(), newFolder()];
  await cp(mnist, own, { recursive: true });
  await cp(join(own, 'heads/npr.safetensors'), join(own, 'heads/error.safetensors'));
  await rm(join(own, 'heads/npr.safetensors'));
  const config = (await readJson(join(mnist, 'heads/config.json'))) as Record<string, unknown>;
  const heads = { npr: 'error.safetensors', sn: 'sn.safetensors' };
  await writeFile(join(own, 'heads/config.json'), JSON.stringify({ ...config, heads }));
  await run(headRun({ network: own, out, steps: 1 }));
  await using model = await DiffusionModel.load(out, { device: 'cpu', threads: 1, head: 'npr' });
  expect(model.unet.hasHead).toBe(true);
  expect(await headOf(out, 'error')).not.toEqual(await headOf(own, 'error'));
  await writeFile(
    join(own, 'heads/config.json'),
    JSON.stringify({ ...config, heads, prediction_type: 'v_prediction' }),
  );
  await expect(DiffusionModel.load(own, { device: 'cpu', head: 'npr' })).rejects.toThrow(
    'prediction_type of the heads of a network without texts has to be epsilon',
  );
  await writeFile(join(own, 'heads/config.json'), JSON.stringify({ ...config, heads, out_channels: 3 }));
  await expect(Trainer.open(headRun({ network: own }))).rejects.toThrow('out_channels is 3');
});

describe('a head of a model without one', () => {
  it.each([undefined, 'simple', 'complex'] as const)('begins with the weights of its seed, %s', async (headMode) => {
    const [out, other] = [newFolder(), newFolder()];
    await run(headRun({ network: bare, headMode, out }));
    const { mode, heads } = (await readJson(join(out, 'heads/config.json'))) as Record<string, unknown>;
    expect([mode, heads]).toEqual([headMode ?? 'simple', { npr: 'npr.safetensors' }]);
    const names = Object.keys(await readTensors(join(out, 'heads/npr.safetensors')));
    expect(names.some((name) => name.startsWith('resnet.'))).toBe(headMode === 'complex');
    await run(headRun({ network: bare, headMode, out: other, seed: 4 }));
    expect(await headOf(other)).not.toEqual(await headOf(out));
    await using model = await DiffusionModel.load(out, { device: 'cpu', threads: 1, head: 'npr' });
    expect(model.unet.hasHead).toBe(true);
  });

  it.each(headNames)('goes on to the bit where a run was stopped, and mends what a kill has left: %s', async (head) => {
    const [whole, parts] = [newFolder(), newFolder()];
    const options = headRun({ network: bare, head, steps: 4, checkpointEvery: 2 });
    await run({ ...options, out: whole });
    const abort = new AbortController();
    const onCheckpoint = ({ step }: { step: number }): void => {
      if (step === 2) abort.abort();
    };
    await expect(run({ ...options, out: parts, signal: abort.signal, onCheckpoint })).rejects.toMatchObject({
      code: 'ERR_DPM_ABORTED',
    });
    await writeFile(join(parts, `heads/${head}.safetensors`), 'damaged');
    await rm(join(parts, 'unet/diffusion_pytorch_model.safetensors'));
    await (await Trainer.open({ ...options, out: parts })).close();
    expect((await headOf(parts, head)).length).toBe((await headOf(whole, head)).length);
    await run({ ...options, out: parts });
    expect(await headOf(parts, head)).toEqual(await headOf(whole, head));
    expect(await trunkOf(parts)).toEqual(await trunkOf(whole));
    const other = head === 'sn' ? 'npr' : 'sn';
    await expect(Trainer.open({ ...options, out: parts, head: other })).rejects.toThrow(`head is "${other}"`);
    await expect(Trainer.open({ ...options, out: parts, headMode: 'complex' })).rejects.toThrow(
      'headMode is "complex"',
    );
  });

  it('that learns the curvature takes a second network', async () => {
    const memoryOf = async (head: HeadName, recompute?: RecomputePolicy) => {
      await using trainer = await Trainer.open(headRun({ network: bare, head, recompute }));
      return trainer.memory;
    };
    const [alone, both] = [await memoryOf('npr'), await memoryOf('ocm')];
    expect(both.parameters).toBe(alone.parameters);
    expect(both.packed).toBeGreaterThan(1.2 * alone.packed);
    expect(both.maps).toBeGreaterThan(1.5 * alone.maps);
    // What the second network keeps for its derivative follows the policy, too.
    const ofSecond = async (recompute: RecomputePolicy) =>
      (await memoryOf('ocm', recompute)).maps - (await memoryOf('npr', recompute)).maps;
    expect(await ofSecond('blocks')).toBeLessThan(0.9 * (await ofSecond('none')));
  });

  it.each([
    [{ network: undefined }, 'head: a head learns on a model: give network'],
    [{ network: 'ddpm-cifar10' }, 'head: a head learns on a model that has learned'],
    [{ network: {} }, 'head: a head learns on a model that has learned'],
    [{ head: undefined, headMode: 'simple' }, 'headMode is for a head that learns'],
    [{ head: 'variance' }, 'head'],
    [{ headMode: 'both' }, 'headMode'],
    [{ snrGamma: 5 }, 'snrGamma'],
    [{ prediction: 'v' }, "the head 'npr' beside the prediction 'v' cannot be trained"],
    [{ network: 'LEARNED' }, 'a network of 1 channels whose output has 2'],
    [
      { network: packagePath('test/fixtures/unet/score-sde-ddpmpp') },
      'heads of the family score_sde cannot be trained',
    ],
    [{ network: packagePath('models/mnist-classifier') }, 'heads of the family openai-classifier cannot be trained'],
  ] as const)('is refused with %o', async (changed, message) => {
    const isLearned = 'network' in changed && changed.network === 'LEARNED';
    const network = isLearned ? await withLearnedVariance() : bare;
    const options = { network, ...changed, ...(isLearned && { network }) };
    await expect(Trainer.open(headRun(options as never))).rejects.toThrow(message);
  });
});

describe('a head in the file of its network', () => {
  const unet = (name: string): string => packagePath(`test/fixtures/unet/${name}`);
  const data = { ...tinyImages(6, [3, 16, 16]), labels: null };
  const ownRun = (changed: Partial<TrainerOptions>): TrainerOptions => headRun({ data, ...changed });
  const tensorsOf = (path: string) => readTensors(join(path, 'model.safetensors'));

  it.each([undefined, 'complex'] as const)('is added to one that has none, %s', async (headMode) => {
    const [network, out, parts] = [unet('ho-ddpm'), newFolder(), newFolder()];
    await run(ownRun({ network, headMode, steps: 4, out }));
    const { head } = (await readJson(join(out, 'config.json'))) as Record<string, unknown>;
    expect(head).toEqual({ kind: 'npr', mode: headMode ?? 'simple', out_ch: 3 });
    const [found, before] = [await tensorsOf(out), await tensorsOf(network)];
    for (const [name, values] of Object.entries(before)) expect(found[name], name).toEqual(values);
    expect(Object.keys(found).length).toBeGreaterThan(Object.keys(before).length + 1);
    await using first = await Trainer.open(ownRun({ network, headMode, steps: 4, out: parts }));
    for (let step = 0; step < 2; ++step) await first.step();
    await first.save();
    await first.close();
    await run(ownRun({ network, headMode, steps: 4, out: parts }));
    expect(await tensorsOf(parts)).toEqual(found);
    await using model = await DiffusionModel.load(out, { device: 'cpu', threads: 1 });
    expect((await readModelFolder(out)).heads).toEqual(['npr']);
    expect((await model.sample({ sampler: 'npr-ddpm', steps: 3 })).images.data.every(Number.isFinite)).toBe(true);
  });

  it('leaves the other files of its model where they are', async () => {
    const [model, out] = [newFolder(), newFolder()];
    await cp(unet('ho-ddpm'), model, { recursive: true });
    await cp(join(mnist, 'gamma.json'), join(model, 'gamma.json'));
    await run(ownRun({ network: model, steps: 1, out }));
    expect(await readFile(join(out, 'gamma.json'))).toEqual(await readFile(join(mnist, 'gamma.json')));
    expect(await readdir(out)).not.toContain('heads');
  });

  it('goes on from its weights, and takes the name that it learns by', async () => {
    const [network, out, again] = [unet('ho-ddpm-head-complex'), newFolder(), newFolder()];
    await run(ownRun({ network, head: 'sn', out, averageDecay: 0.5 }));
    const [found, before] = [await tensorsOf(out), await tensorsOf(network)];
    const moved = Object.keys(before).filter((name) => found[name]!.some((value, i) => value !== before[name]![i]));
    expect(moved.length).toBeGreaterThan(5);
    expect(moved.every((name) => /^(?:before_out|conv_out2|norm_out2)\./.test(name))).toBe(true);
    for (const name of moved) {
      expect(Math.max(...found[name]!.map((value, i) => Math.abs(value - before[name]![i]!))), name).toBeLessThan(4e-3);
    }
    const refused = (changed: Partial<TrainerOptions>) =>
      Trainer.open(ownRun({ out: again, network: out, ...changed }));
    await expect(refused({ head: 'npr' })).rejects.toThrow('has the head sn and no place for another');
    await expect(refused({ head: 'sn', headMode: 'simple' })).rejects.toThrow('headMode is simple, the head of');
  });

  it('has a network of its own outputs, which are not used then', async () => {
    const out = newFolder();
    const [network, labels] = [unet('openai-adm-class'), Int32Array.of(0, 1, 2, 3, 4, 5)];
    await run(ownRun({ network, head: 'ocm', data: { ...data, labels }, out }));
    await using model = await DiffusionModel.load(out, { device: 'cpu', threads: 1 });
    expect((await readModelFolder(out)).heads).toEqual(['ocm']);
    const { images } = await model.sample({ sampler: 'ocm-ddim', steps: 2, classLabels: 1 });
    expect(images.data.every(Number.isFinite)).toBe(true);
  });
});

it('a run of the network itself has no head', async () => {
  await using trainer = await Trainer.open(tinyRun({ steps: 1 }));
  expect([...(await trainer.tensors()).keys()].some((name) => name.startsWith('head.'))).toBe(false);
});
