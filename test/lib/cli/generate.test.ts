// dpm generate: images of a text by a pipeline's folder.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { helpOf, type OptionFact } from '../../../lib/base/option-facts.js';
import { generateCommand } from '../../../lib/cli/generate.js';
import { inspectCommand } from '../../../lib/cli/inspect.js';
import { readPngText } from '../../../lib/images/png-text.js';
import { ImageBatch, TextToImage, type GenerateOptions } from '../../../lib/index.js';
import { generateOptionFacts } from '../../../lib/latents/generate-options.js';
import { pipelineOptionFacts } from '../../../lib/latents/load-pipeline.js';
import { loraOptionFacts } from '../../../lib/latents/loras.js';
import { dpm } from '../../support/dpm.js';
import { floatTensor, writeFileTensors } from '../../support/file-tensors.js';
import { latentFixtures } from '../../support/latent-goldens.js';
import { temporaryFolder } from '../../support/temporary.js';
import { tensorReader } from '../../support/tensors.js';

const folder = temporaryFolder();
const model = join(latentFixtures, 'sd1');
const small = ['--device', 'cpu', '--steps', '3', '--size', '16x24'];

describe('dpm generate', () => {
  it('draws what the library draws', async () => {
    const out = join(folder, 'cat.safetensors');
    const options = ['--count', '2', '--seed', '5', '--negative', 'blurry', '--guidance', '4', '--clip-skip', '1'];
    const { code, stderr, stdout } = await dpm('generate', model, 'a cat', '--out', out, ...small, ...options);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^2 images in [\d.]+ s -> /);
    await using pipeline = await TextToImage.load(model, { device: 'cpu' });
    const { images } = await pipeline.generate({
      prompt: 'a cat',
      negativePrompt: 'blurry',
      count: 2,
      steps: 3,
      height: 16,
      width: 24,
      seed: 5,
      guidance: 4,
      skippedLayers: 1,
    });
    expect(await tensorReader(out)('images')).toEqual(images!.data);
  });

  it('has the options of drawing as flags that do what the library does', async () => {
    const begun = join(folder, 'begun.png');
    await new ImageBatch(
      Uint8Array.from({ length: 3 * 24 * 16 }, (_, i) => (7 * i) % 256),
      [1, 3, 24, 16],
    ).save(begun);
    const picture = await ImageBatch.load(begun);
    const marked = join(folder, 'marked.png');
    await new ImageBatch(
      Uint8Array.from({ length: 24 * 16 }, (_, i) => (i % 16 < 8 ? 255 : 0)),
      [1, 1, 24, 16],
    ).save(marked, { scale: 1 });
    const mask = await ImageBatch.load(marked);
    // Those without a change draw the same images in other ways.
    const flags: Record<string, [args: string[], options: Partial<GenerateOptions>, isSame?: true]> = {
      negative: [['--negative', 'blurry'], { negativePrompt: 'blurry' }],
      'long-prompts': [['--long-prompts', 'chunks'], { longPrompts: 'chunks' }],
      count: [['--count', '2'], { count: 2 }],
      steps: [['--steps', '2'], { steps: 2 }],
      sampler: [['--sampler', 'euler'], { sampler: 'euler' }],
      guidance: [['--guidance', '2'], { guidance: 2 }],
      'guidance-rescale': [['--guidance-rescale', '0.7'], { guidanceRescale: 0.7 }],
      size: [['--size', '16x32'], { height: 16, width: 32 }],
      seed: [['--seed', '18446744073709551615'], { seed: 2n ** 64n - 1n }],
      'clip-skip': [['--clip-skip', '1'], { skippedLayers: 1 }],
      tile: [['--tile', '4'], { tile: 4 }],
      batch: [['--batch', '1'], { batch: 1 }, true],
      image: [['--image', begun], { image: picture }],
      strength: [['--image', begun, '--strength', '0.4'], { image: picture, strength: 0.4 }],
      mask: [['--image', begun, '--mask', marked], { image: picture, mask }],
    };
    const offered = [...new Set(Object.values(flags).flatMap(([, options]) => Object.keys(options)))];
    const others = ['prompt', 'gamma', 'first', 'sizes', 'negativeSizes', 'init', 'noise', 'output', 'onPreview'];
    const parts = ['denoisingStart', 'denoisingEnd', 'guides', 'controls'];
    const known = [...offered, ...others, ...parts, 'previewEvery', 'signal', 'onProgress'].sort();
    expect(known).toEqual(Object.keys(generateOptionFacts).sort());
    const plain = { prompt: 'ship '.repeat(100), steps: 3, height: 24, width: 16 };
    const out = join(folder, 'flags.safetensors');
    const before = [
      'generate',
      model,
      plain.prompt,
      '--device',
      'cpu',
      '--out',
      out,
      '--steps',
      '3',
      '--size',
      '24x16',
    ];
    await using pipeline = await TextToImage.load(model, { device: 'cpu' });
    const base = (await pipeline.generate(plain)).images!.data;
    for (const [flag, [args, options, isSame = false]] of Object.entries(flags)) {
      const { code } = await dpm(...before, ...args);
      const own = await tensorReader(out)('images');
      expect({ flag, code }).toEqual({ flag, code: 0 });
      expect(own, flag).toEqual((await pipeline.generate({ ...plain, ...options })).images!.data);
      expect(Buffer.from(own.buffer).equals(Buffer.from(base.buffer)), flag).toBe(isSame);
    }
  });

  it('has the help and the defaults of the library', async () => {
    const flags = {
      negative: generateOptionFacts.negativePrompt,
      count: generateOptionFacts.count,
      steps: generateOptionFacts.steps,
      sampler: generateOptionFacts.sampler,
      guidance: generateOptionFacts.guidance,
      'guidance-rescale': generateOptionFacts.guidanceRescale,
      seed: generateOptionFacts.seed,
      strength: generateOptionFacts.strength,
      'clip-skip': generateOptionFacts.skippedLayers,
      tile: generateOptionFacts.tile,
      'long-prompts': generateOptionFacts.longPrompts,
      batch: generateOptionFacts.batch,
      keep: pipelineOptionFacts.keep,
      config: pipelineOptionFacts.config,
      prediction: pipelineOptionFacts.prediction,
      ema: pipelineOptionFacts.ema,
      unet: pipelineOptionFacts.unet,
      vae: pipelineOptionFacts.vae,
    } as const satisfies Record<string, OptionFact>;
    for (const [flag, fact] of Object.entries<OptionFact>(flags)) {
      expect(generateCommand.options[flag], flag).toMatchObject({ help: helpOf(fact) });
      expect(generateCommand.options[flag]?.value, flag).toBe(fact.value);
    }
    const { size, lora } = generateCommand.options;
    expect(size?.help).toBe('height and width of the images in pixels; default that of the network');
    expect(inspectCommand.options.size?.help).toBe(`of a pipeline: ${size?.help}`);
    expect(lora).toMatchObject({ value: 'FILE[:SCALE]', isRepeated: true });
    expect(lora?.help).toContain(`${pipelineOptionFacts.loras.help}; factor ${loraOptionFacts.scale.standard} if`);
    // As the command draws without them.
    const drawn = async (name: string, ...more: string[]): Promise<Buffer> => {
      const out = join(folder, name);
      const { code, stderr } = await dpm('generate', model, 'a cat', '--out', out, ...small, ...more);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      return readFileSync(out);
    };
    const standards = Object.entries<OptionFact>(flags).flatMap(([flag, { standard }]) =>
      standard === undefined || standard === false || flag === 'strength' ? [] : [`--${flag}`, String(standard)],
    );
    expect(standards.length).toBe(2 * 7);
    expect((await drawn('standards.png', ...standards)).equals(await drawn('plain.png'))).toBe(true);
  });

  it('writes a picture, by another sampler and in tiles', async () => {
    const out = join(folder, 'cat.png');
    const more = ['--sampler', 'ddim', '--tile', '4', '--json'];
    const { code, stdout } = await dpm('generate', model, 'a cat', '--out', out, ...small, ...more);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ out, shape: [1, 3, 16, 24], truncated: false });
    expect((await ImageBatch.load(out)).shape).toEqual([1, 3, 16 * 5, 24 * 5]);
    const plain = await dpm('generate', model, 'a cat', '--out', out, '--scale', '1', ...small, ...more);
    expect(plain.code).toBe(0);
    expect((await ImageBatch.load(out)).shape).toEqual([1, 3, 16, 24]);
  });

  it('draws by a single file and by the parts that are named', async () => {
    const file = join(latentFixtures, 'sd1-ckpt/model.ckpt');
    const drawn = async (...more: string[]): Promise<Float32Array> => {
      const out = join(folder, 'file.safetensors');
      const { code, stderr } = await dpm('generate', file, 'a cat', '--out', out, ...small, '--config', model, ...more);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      return tensorReader(out)('images');
    };
    const plain = await drawn();
    const out = join(folder, 'folder.safetensors');
    await dpm('generate', model, 'a cat', '--out', out, ...small);
    expect(plain).toEqual(await tensorReader(out)('images'));
    const others = [['--ema'], ['--prediction', 'v'], ['--vae', join(latentFixtures, 'sd2/vae')]];
    for (const more of others) expect(await drawn(...more)).not.toEqual(plain);
    expect(await drawn('--ema', '--unet', join(model, 'unet'))).toEqual(plain);
  });

  it('says that a prompt is too long', async () => {
    const out = join(folder, 'long.png');
    const { stderr } = await dpm('generate', model, 'ship '.repeat(100), '--out', out, ...small);
    expect(stderr).toContain('longer than the text encoder reads');
  });

  it('reads long prompts whole where it is told to, and so again', async () => {
    const [cut, whole, again] = ['cut.png', 'whole.png', 'whole-again.png'].map((name) => join(folder, name));
    const long = ['generate', model, 'ship '.repeat(100), ...small, '--out'];
    await dpm(...long, cut!);
    const { stderr } = await dpm(...long, whole!, '--long-prompts', 'chunks', '--batch', '1', '--keep', 'none');
    expect(stderr).toBe('');
    expect((await ImageBatch.load(whole!)).data).not.toEqual((await ImageBatch.load(cut!)).data);
    await dpm('generate', model, '--from', whole!, '--out', again!, '--device', 'cpu');
    expect(readFileSync(again!)).toEqual(readFileSync(whole!));
  });

  it('tells of tiles that it takes for lack of memory, and takes them again', async () => {
    const [out, again] = [join(folder, 'tiled.png'), join(folder, 'tiled-again.png')];
    process.env.DPM_MEMORY = '0.06';
    const large = ['--device', 'cpu', '--steps', '1', '--size', '320', '--sampler', 'ddim'];
    const { stderr } = await dpm('generate', model, 'a cat', '--out', out, ...large).finally(() => {
      delete process.env.DPM_MEMORY;
    });
    expect(stderr).toContain('tiles of 64 latents');
    await dpm('generate', model, '--from', out, '--out', again, '--device', 'cpu');
    expect(readFileSync(again)).toEqual(readFileSync(out));
  });

  it.each([
    [['--size', '16y24'], "--size is '16y24'"],
    [['--size', '18'], 'height is 18'],
    [['--sampler', 'best'], '--sampler'],
    [['--steps', '0'], 'steps'],
    [['--long-prompts', 'split'], '--long-prompts'],
    [['--keep', 'vae'], '--keep'],
    [['--batch', '0'], 'batch'],
    [['--from', join(folder, 'nowhere.png')], 'nowhere.png'],
    [['--prediction', 'noise'], '--prediction'],
    [['--config', 'sd1'], 'config is for single files'],
  ])('refuses %j', async (options, message) => {
    const out = join(folder, 'refused.png');
    const { code, stderr } = await dpm('generate', model, 'a cat', '--out', out, '--device', 'cpu', ...options);
    expect(code).not.toBe(0);
    expect(stderr).toContain(message);
  });
});

describe('dpm generate --lora', () => {
  const out = join(folder, 'style.png');
  const [kohya, peft] = ['kohya', 'peft'].map((name) => join(model, 'lora', `${name}.safetensors`));
  const drawn = async (...more: string[]): Promise<Uint8Array> => {
    const picture = ['--out', out, '--scale', '1'];
    const { code, stderr } = await dpm('generate', model, 'a cat', ...picture, ...small, ...more);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return (await ImageBatch.load(out)).toUint8();
  };

  it('adds files, each with a factor or whole, and tells of them', async () => {
    const both = await drawn('--lora', `${kohya}:0.7`, '--lora', peft!);
    const loras = [{ path: kohya!, scale: 0.7 }, { path: peft! }];
    await using pipeline = await TextToImage.load(model, { device: 'cpu', loras });
    const { images } = await pipeline.generate({ prompt: 'a cat', steps: 3, height: 16, width: 24 });
    expect(both).toEqual(images!.toUint8());
    expect(await readPngText(out, 'parameters')).toContain('Loras: "kohya:0.7, peft:1"');
    expect(await drawn('--lora', `${kohya}:-7e-1`)).not.toEqual(both);
  });

  it('is needed to draw such a picture again', async () => {
    await drawn('--lora', `${kohya}:0.7`);
    const again = join(folder, 'style-again.png');
    const from = ['generate', model, '--from', out, '--out', again, '--device', 'cpu', '--scale', '1'];
    const without = await dpm(...from);
    expect([without.code, without.stderr]).toEqual([0, `${out}: these parameters are left out: Loras\n`]);
    expect((await ImageBatch.load(again)).toUint8()).not.toEqual((await ImageBatch.load(out)).toUint8());
    expect((await dpm(...from, '--lora', `${kohya}:0.7`)).stderr).toBe('');
    expect(readFileSync(again)).toEqual(readFileSync(out));
  });

  it.each([
    ['nowhere.safetensors:0.5', 'nowhere.safetensors'],
    [`${kohya}:much`, `${kohya}:much`],
    [`${kohya}:1e999`, 'scale'],
    [join(latentFixtures, 'sdxl/lora/kohya.safetensors'), 'sdxl'],
  ])('refuses %s', async (lora, message) => {
    const { code, stderr } = await dpm('generate', model, 'a cat', '--out', out, ...small, '--lora', lora);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toContain(message);
  });
});

it('dpm generate --embedding adds tokens, by the name of the file or by another', async () => {
  const out = join(folder, 'token.safetensors');
  const values = Float32Array.from({ length: 32 }, (_, i) => Math.sin(i));
  const path = await writeFileTensors(
    join(folder, 'sofa.safetensors'),
    new Map([['<sofa>', floatTensor(values, [32])]]),
  );
  const draw = async (prompt: string, ...args: string[]): Promise<Float32Array> => {
    const { code, stderr } = await dpm('generate', model, prompt, '--out', out, ...small, ...args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return tensorReader(out)('images');
  };
  const own = await draw('a <sofa>', '--embedding', path);
  expect(await draw('a thing', '--embedding', `thing=${path}`)).toEqual(own);
  expect(await draw('a <sofa>')).not.toEqual(own);
});
