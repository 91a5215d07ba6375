// `dpm train`.
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';

import { decode } from 'fast-png';
import { beforeAll, describe, expect, it, vi } from 'vitest';

import { withStreams } from '../../../lib/cli/output.js';
import { runCommandLine } from '../../../lib/cli/run.js';
import { trainCommand } from '../../../lib/cli/train.js';
import { helpOf, type OptionFact } from '../../../lib/base/option-facts.js';
import { DiffusionModel, Trainer, type StepMetrics, type TrainerOptions } from '../../../lib/index.js';
import { trainingOptionFacts } from '../../../lib/training/options.js';
import { dpm } from '../../support/dpm.js';
import { eventFiles, shownEvents } from '../../support/read-events.js';
import { temporaryFolder } from '../../support/temporary.js';
import { tinyNetwork, writeTinyImages } from '../../support/training-data.js';

const folder = temporaryFolder();
const data = join(folder, 'data.safetensors');
let folders = 0;
const newFolder = (): string => join(folder, `run-${folders++}.1`);
const base = ['--data', data, '--network', tinyNetwork, '--device', 'cpu', '--threads', '1', '--batch', '2'];
const train = (...options: string[]) => dpm('train', ...base, ...options);
const pictureOf = async (path: string): Promise<{ width: number; height: number }> => decode(await readFile(path));
/** Pixels between the images of a picture. */
const gap = 2;
const weightsOf = (out: string): Promise<Buffer> => readFile(join(out, 'unet', 'diffusion_pytorch_model.safetensors'));

beforeAll(async () => {
  await writeTinyImages(data);
});

describe('dpm train', () => {
  it('makes a model, with checkpoints, metrics, losses and samples, and ends at once when called again', async () => {
    const out = newFolder();
    const options = ['--out', out, '--steps', '5', '--checkpoint-every', '2', '--seed', '1', '--rate', '2e-4'];
    const told = await train(...options, '--samples', '3');
    expect(told.code).toBe(0);
    expect(told.stdout).toMatch(/^5 steps in \d+\.\d s on cpu, loss \d\.\d+ -> .*run-0\.1\n$/);
    expect(told.stderr).toMatch(
      /^12 images of 3 x 8 x 8, [\d,]+ parameters, 5 steps on cpu -> .*: from the beginning\n/,
    );
    expect(told.stderr).toMatch(/\nstep 2: loss \d\.\d+ \| [\d.e+]+ images\/s -> .*step-2\n/);
    const names = (await readdir(out)).sort();
    const expected = [
      'checkpoints',
      'loss.svg',
      'metrics.jsonl',
      'model_index.json',
      'run.json',
      'samples',
      'scheduler',
    ];
    expect(names).toEqual([...expected, 'unet']);
    expect(await readdir(join(out, 'samples'))).toEqual(['step-0000002.png', 'step-0000004.png', 'step-0000005.png']);
    const picture = decode(await readFile(join(out, 'samples', 'step-0000005.png')));
    expect([picture.channels, picture.width > 16]).toEqual([3, true]);
    expect(await readFile(join(out, 'loss.svg'), 'utf8')).toContain('Training loss');
    expect((await readFile(join(out, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n')).toHaveLength(5);
    const sampled = await dpm(
      'sample',
      out,
      '--device',
      'cpu',
      '--class',
      '2',
      '--steps',
      '2',
      '--out',
      join(folder, 'a.png'),
    );
    expect(sampled.code).toBe(0);
    const before = await weightsOf(out);
    const again = await train(...options);
    expect(again.stdout).toMatch(/^all 5 steps were done before -> /);
    expect(await weightsOf(out)).toEqual(before);
    const other = await train(...options, '--clip', '2');
    expect(other.code).toBe(2);
    expect(other.stderr).toMatch(/^error \[ERR_DPM_ARGUMENT\]: clip is 2, the run of .* was begun with 1/);
  });

  it('lets steps run without a word from JavaScript between them', async () => {
    const open = vi.spyOn(Trainer, 'open');
    const out = newFolder();
    const told = await train('--out', out, '--steps', '40', '--checkpoint-every', '40', '--samples', '0', '--json');
    const [options] = open.mock.calls.at(-1)!;
    open.mockRestore();
    expect(told.code).toBe(0);
    expect(options.onStep).toBeUndefined();
    const lines = (await readFile(join(out, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n');
    const metrics = lines.map((line) => JSON.parse(line) as StepMetrics);
    expect(metrics.map(({ step }) => step)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    const { loss, gradientNorm } = JSON.parse(told.stdout) as StepMetrics;
    expect(gradientNorm).toBe(metrics.at(-1)!.gradientNorm);
    expect(loss).toBeCloseTo(metrics.reduce((sum, each) => sum + each.loss, 0) / 40, 9);
    // Steps of one call have the same speed.
    expect(new Set(metrics.map(({ imagesPerSecond }) => imagesPerSecond)).size).toBeLessThan(30);
  });

  it('tells checkpoints that are damaged and pictures that are broken', async () => {
    const out = newFolder();
    const options = ['--out', out, '--steps', '3', '--checkpoint-every', '1', '--samples', '0'];
    const whole = JSON.parse((await train(...options, '--json')).stdout) as object;
    expect(whole).toMatchObject({ begun: 0, broken: 0, damaged: [] });
    await writeFile(join(out, 'checkpoints', 'step-3', 'average.safetensors'), 'nothing');
    const told = await train(...options, '--json');
    expect([told.code, told.stderr]).toEqual([0, '']);
    expect(JSON.parse(told.stdout)).toMatchObject({
      begun: 2,
      step: 3,
      damaged: [
        {
          path: join(out, 'checkpoints', 'damaged-step-3'),
          code: 'ERR_DPM_FILE_TRUNCATED',
          message: expect.stringContaining('average.safetensors has 7 bytes') as string,
        },
      ],
    });
    await writeFile(join(out, 'checkpoints', 'step-3', 'state.json'), '{}');
    expect((await train(...options)).stderr).toMatch(/^passed over the damaged checkpoint .*damaged-step-3: /);
  });

  it('shows TensorBoard the numbers of each step and the samples of each checkpoint, where it is wanted', async () => {
    const out = newFolder();
    const options = ['--steps', '5', '--checkpoint-every', '2', '--samples', '3'];
    expect((await train(...options, '--out', out, '--tensorboard')).code).toBe(0);
    const events = shownEvents(out);
    expect(events.flatMap(({ step, values }) => ('train/loss' in values ? [step] : []))).toEqual([1, 2, 3, 4, 5]);
    const pictures = events.filter(({ values }) => 'samples' in values);
    expect(pictures.map(({ step }) => step)).toEqual([2, 4, 5]);
    for (const { step, values } of pictures) {
      const png = await readFile(join(out, 'samples', `step-000000${step}.png`));
      const { width, height } = decode(png);
      expect(values).toEqual({ samples: { width, height, colorspace: 3, png: Uint8Array.from(png) } });
    }
    const plain = newFolder();
    const told = await train(...options, '--out', plain);
    expect([told.code, told.stderr.includes('no samples')]).toEqual([0, false]);
    expect(eventFiles(plain)).toEqual([]);
  });

  it('makes heads of a model, one after the other, which its samplers take', async () => {
    const [model, npr, both] = [newFolder(), newFolder(), newFolder()];
    expect((await train('--out', model, '--steps', '1', '--samples', '0')).code).toBe(0);
    const drawn: unknown[] = [];
    const sample = vi.spyOn(DiffusionModel.prototype, 'sample');
    for (const [from, head, to] of [[model, 'npr', npr] as const, [npr, 'sn', both] as const]) {
      const told = await train(
        '--network',
        from,
        '--head',
        head,
        '--head-mode',
        'complex',
        '--out',
        to,
        '--steps',
        '2',
      );
      expect([told.code, told.stdout]).toEqual([0, expect.stringMatching(/^2 steps in/)]);
      drawn.push(sample.mock.calls.at(-1)![0].sampler);
    }
    sample.mockRestore();
    expect(drawn).toEqual(['npr-ddpm', 'sn-ddpm']);
    expect((await readdir(join(both, 'heads'))).sort()).toEqual(['config.json', 'npr.safetensors', 'sn.safetensors']);
    const told = await dpm('inspect', both);
    expect(told.stdout).toMatch(/\nheads +npr, sn\n/);
  });

  it('makes a classifier, which tells classes and guides', async () => {
    const [model, classifier] = [newFolder(), newFolder()];
    expect((await train('--out', model, '--steps', '1', '--samples', '0')).code).toBe(0);
    const own = ['--data', data, '--classifier', '--batch', '2', '--steps', '2', '--device', 'cpu', '--threads', '1'];
    const told = await dpm('train', ...own, '--out', classifier);
    expect(told.stderr).not.toContain('no samples');
    expect([told.code, told.stdout]).toEqual([0, expect.stringMatching(/^2 steps in .*, accuracy [01]\.\d{3} -> /)]);
    expect((await readdir(classifier)).sort()).toEqual([
      'checkpoints',
      'config.json',
      'loss.svg',
      'metrics.jsonl',
      'model.safetensors',
      'run.json',
    ]);
    const again = JSON.parse((await dpm('train', ...own, '--out', newFolder(), '--json')).stdout) as object;
    expect(again).toHaveProperty('accuracy');
    const classes = await dpm('classify', classifier, '--input', data, '--device', 'cpu', '--json');
    expect(classes.code).toBe(0);
    const guided = ['--classifier', classifier, '--classifier-class', '2', '--class', '2', '--steps', '2'];
    const drawn = await dpm('sample', model, ...guided, '--device', 'cpu', '--out', join(folder, 'guided.png'));
    expect([drawn.code, drawn.stderr]).toEqual([0, expect.not.stringContaining('error')]);
  });

  it('makes an autoencoder, and from captions a pipeline that draws what a text says', async () => {
    const [autoencoder, pipeline] = [newFolder(), newFolder()];
    const own = ['--data', data, '--batch', '2', '--steps', '2', '--device', 'cpu', '--threads', '1', '--samples', '5'];
    const first = await dpm('train', ...own, '--autoencoder', '--out', autoencoder);
    expect([first.code, first.stderr]).toEqual([0, expect.not.stringContaining('no samples')]);
    const shown = await pictureOf(join(autoencoder, 'samples', 'step-0000002.png'));
    // Five images and what comes back, in rows of two pairs.
    expect([shown.width, shown.height]).toEqual([4 * 8 + 3 * gap, 3 * 8 + 2 * gap]);
    const captions = join(folder, 'captions.jsonl');
    const lines = Array.from({ length: 12 }, (_, index) => ({ index, text: ['red', `a picture of number ${index}`] }));
    await writeFile(captions, lines.map((line) => JSON.stringify(line)).join('\n'));
    const ofCaptions = ['--captions', captions, '--latents', autoencoder];
    const second = await dpm('train', ...own, ...ofCaptions, '--caption-dropout', '0.25', '--out', pipeline);
    expect([second.code, second.stderr]).toEqual([0, expect.not.stringContaining('no samples')]);
    const drawn = await pictureOf(join(pipeline, 'samples', 'step-0000002.png'));
    expect([drawn.width, drawn.height]).toEqual([3 * 8 + 2 * gap, 2 * 8 + gap]);
    const settings = JSON.parse(await readFile(join(pipeline, 'run.json'), 'utf8')) as { options: object };
    expect(settings.options).toMatchObject({ captionDropout: 0.25, prediction: 'v' });
    const picture = join(folder, 'of-text.png');
    const generated = await dpm(
      'generate',
      pipeline,
      'a red picture',
      '--steps',
      '2',
      '--device',
      'cpu',
      '--out',
      picture,
    );
    expect([generated.code, generated.stderr]).toEqual([0, expect.not.stringContaining('error')]);
    expect((await pictureOf(picture)).width).toBe(16 * 8);
    const cut = lines.map(({ index }) => JSON.stringify({ index, text: 'x '.repeat(40) }));
    await writeFile(captions, cut.join('\n'));
    const long = await dpm('train', ...own, ...ofCaptions, '--out', newFolder());
    expect(long.stderr).toContain('cut off 12 captions');
  });

  it('does what the library does of each flag', async () => {
    const flags: Record<string, [string[], TrainerOptions[keyof TrainerOptions]]> = {
      steps: [['3'], 3],
      batch: [['3'], 3],
      accumulate: [['2'], 2],
      seed: [['18446744073709551615'], 18446744073709551615n],
      rate: [['3e-3'], 3e-3],
      rateSchedule: [['linear'], 'linear'],
      warmup: [['1'], 1],
      averageDecay: [['0.5'], 0.5],
      averageSchedule: [['power'], 'power'],
      averageGamma: [['2'], 2],
      averagePower: [['0.25'], 0.25],
      clip: [['0.5'], 0.5],
      adamBeta1: [['0.8'], 0.8],
      adamBeta2: [['0.9'], 0.9],
      adamEpsilon: [['1e-4'], 1e-4],
      weightDecay: [['0.01'], 0.01],
      cropMargin: [['2'], 2],
      flips: [[], true],
      dropout: [['0.2'], 0.2],
      labelDropout: [['0.5'], 0.5],
      prediction: [['v'], 'v'],
      levelSampling: [['loss-second-moment'], 'loss-second-moment'],
      snrGamma: [['5'], 5],
      recompute: [['blocks'], 'blocks'],
      checkpointEvery: [['2'], 2],
      checkpointsKept: [['1'], 1],
      tensorboard: [[], true],
    };
    // Flags of heads, classifiers, autoencoders and captions are for other networks; the tests before this one give them.
    const known = [...Object.keys(flags), 'autoencoder', 'captionDropout', 'classifier', 'head', 'headMode'].sort();
    expect(known).toEqual(Object.keys(trainingOptionFacts).sort());
    const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    const given = Object.entries(flags).flatMap(([name, [values]]) => [`--${kebab(name)}`, ...values]);
    const out = newFolder();
    const all = await dpm(
      'train',
      ...base.slice(0, -2),
      ...given,
      '--resize',
      '--out',
      out,
      '--samples',
      '0',
      '--json',
    );
    expect(all.stderr).toBe('');
    expect(JSON.parse(all.stdout)).toMatchObject({ out, step: 3, steps: 3, begun: 0, device: 'cpu' });
    const options = Object.fromEntries(Object.entries(flags).map(([name, [, value]]) => [name, value]));
    const own = newFolder();
    await using trainer = await Trainer.open({
      data,
      network: tinyNetwork,
      device: 'cpu',
      threads: 1,
      ...options,
      resize: true,
      out: own,
    });
    await trainer.run();
    // To show how they differ takes minutes.
    expect((await weightsOf(out)).equals(await weightsOf(own))).toBe(true);
    expect(await readdir(join(out, 'checkpoints'))).toEqual(['step-3']);
    expect(await readFile(join(out, 'run.json'), 'utf8')).toBe(await readFile(join(own, 'run.json'), 'utf8'));
    for (const [name, fact] of Object.entries<OptionFact>(trainingOptionFacts)) {
      expect(trainCommand.options[kebab(name)]?.help, name).toBe(helpOf(fact));
    }
  });

  it('tells the memory of a run before it begins, and writes nothing', async () => {
    const plan = await train('--plan');
    expect(plan.stdout).toMatch(/^12 images of 3 x 8 x 8, 6 classes, [\d,]+ parameters\n5000 steps on cpu; memory:\n/);
    expect(plan.stdout).toMatch(/\n +beginning and checkpoints, at most +[\d.]+ [KM]iB\n +in all +[\d.]+ MiB\n$/);
    const json = JSON.parse((await train('--plan', '--json')).stdout) as { memory: Record<string, number> };
    await using trainer = await Trainer.open({ data, network: tinyNetwork, device: 'cpu', threads: 1, batch: 2 });
    expect(json).toMatchObject({ images: 12, classes: 6, parameters: trainer.parameters, memory: trainer.memory });
    // The command that trains, and the flag beside it.
    const out = newFolder();
    expect(await train('--out', out, '--samples', '3', '--tensorboard', '--plan')).toMatchObject({
      code: 0,
      stdout: plan.stdout,
    });
    expect(existsSync(out)).toBe(false);
    process.env.DPM_MEMORY = '0.001';
    try {
      expect((await train('--plan')).stderr).toMatch(/^error \[ERR_DPM_OUT_OF_MEMORY\]/);
    } finally {
      delete process.env.DPM_MEMORY;
    }
  });

  it('leaves out labels, brings images to size, and counts pictures that cannot be read', async () => {
    const pictures = join(folder, 'pictures');
    await using model = await DiffusionModel.load('mnist', { device: 'cpu', threads: 1 });
    const { images } = await model.sample({ sampler: 'ddim', steps: 1, count: 3 });
    await images.save(pictures);
    await writeFile(join(pictures, 'broken.png'), 'no picture');
    const own = [
      '--data',
      pictures,
      '--device',
      'cpu',
      '--threads',
      '1',
      '--steps',
      '1',
      '--batch',
      '1',
      '--samples',
      '0',
    ];
    const broken = await dpm('train', ...own, '--out', newFolder());
    expect(broken.code).toBe(1);
    expect(broken.stderr).toMatch(/^error \[ERR_DPM_\w+\]: .*broken\.png/);
    const skipped = await dpm('train', ...own, '--out', newFolder(), '--skip-broken');
    expect([skipped.code, skipped.stderr.split('\n')[0]]).toEqual([0, 'left out 1 pictures that cannot be read']);
    const facts = await dpm('train', ...own, '--out', newFolder(), '--skip-broken', '--json');
    expect(JSON.parse(facts.stdout)).toMatchObject({ step: 1, broken: 1, damaged: [] });
    const config = { _class_name: 'UNet2DModel', sample_size: 8, in_channels: 1, out_channels: 1, norm_num_groups: 8 };
    const network = join(folder, 'small.json');
    const blocks = { down_block_types: ['DownBlock2D'], up_block_types: ['UpBlock2D'], block_out_channels: [8] };
    await writeFile(network, JSON.stringify({ ...config, ...blocks, layers_per_block: 1, attention_head_dim: null }));
    const small = [...own, '--network', network, '--skip-broken'];
    expect((await dpm('train', ...small, '--out', newFolder())).stderr).toContain('ERR_DPM_TENSOR_SHAPE');
    expect((await dpm('train', ...small, '--out', newFolder(), '--resize')).code).toBe(0);
    const plain = JSON.parse((await dpm('train', '--data', data, '--plan', '--json', '--no-labels')).stdout) as object;
    expect(plain).toMatchObject({ classes: 0 });
  });

  it('ends with 130 when it is interrupted, and goes on with the same command', async () => {
    const [out, whole] = [newFolder(), newFolder()];
    const options = ['--steps', '6', '--checkpoint-every', '4', '--samples', '0'];
    const abort = new AbortController();
    const parts: string[] = [];
    const stderr = new Writable({
      write(part: Buffer, _, done) {
        parts.push(part.toString());
        // The note of its beginning.
        abort.abort(new Error('interrupted'));
        done();
      },
    });
    const args = ['train', ...base, ...options, '--out', out];
    const code = await withStreams({ stdout: stderr, stderr }, () => runCommandLine(args, () => abort.signal));
    expect(code).toBe(130);
    expect(parts.join('')).toContain('error [ERR_DPM_ABORTED]');
    expect((await train(...options, '--out', out)).code).toBe(0);
    expect((await train(...options, '--out', whole)).code).toBe(0);
    expect(await weightsOf(out)).toEqual(await weightsOf(whole));
  });

  it('refuses what it cannot do before it begins', async () => {
    expect((await dpm('train', '--out', newFolder())).stderr).toContain('--data is missing');
    expect((await dpm('train', '--data', data)).stderr).toContain('--out is missing');
    expect((await train('--out', data)).stderr).toContain(`cannot make the folder ${data}`);
    expect((await train('--out', newFolder(), '--steps', '0')).stderr).toContain('--steps is 0, it has to be');
    const out = newFolder();
    for (const shown of ['-1', "'1.5'", "'x'"]) {
      const told = await train('--out', out, `--samples=${shown.replaceAll("'", '')}`);
      expect(told).toMatchObject({ code: 2, stderr: expect.stringContaining(`--samples is ${shown}`) as string });
    }
    await expect(readdir(out)).rejects.toMatchObject({ code: 'ENOENT' });
    expect((await train('--out', newFolder(), '--rate-schedule', 'x')).stderr).toContain('--rate-schedule');
    expect((await train('--out', newFolder(), '--rate=-1')).stderr).toContain('rate is -1');
  });
});
