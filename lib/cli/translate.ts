import { realpath } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import { makeFolder } from '../files/files.js';
import { Classifier } from '../guidance/classifier.js';
import { compareImages, type ImageComparison, WINDOW } from '../images/compare.js';
import { ImageBatch } from '../images/image-batch.js';
import { imageFileKind } from '../images/save.js';
import type { DiffusionModel } from '../model.js';
import { translateOptionFacts as facts, translationMethods } from '../translation/options.js';
import { similarities } from '../translation/similarity.js';
import { translate } from '../translation/translate.js';
import { specOf, type Call, type Command } from './command.js';
import { usageError } from './usage-error.js';
import { readMask, readNamedImages } from '../images/load.js';
import { modelName, outOf, outSpec, writeOut } from './default-target.js';
import { modelOptions, withModel } from './model-options.js';
import { counted, type Progress, printJson, printLine, printNote, progressBar } from './output.js';
import { askedScale, scaleFor, scaleSpec } from './picture-scale.js';
import { checkTarget } from './target.js';

/** The structural similarity of images that have nothing to do with one another is about 0. */
const LIKE_NOISE = 0.05;

/** Options that only an extractor gives a meaning. */
const extractorOptions = ['lambda-s', 'lambda-i', 'similarity'];

async function withExtractor<T>(
  call: Call,
  { device }: DiffusionModel,
  work: (extractor: Classifier | undefined) => Promise<T>,
): Promise<T> {
  const path = call.options.string('extractor');
  if (path === undefined) return work(undefined);
  const extractor = await Classifier.load(path, { device });
  try {
    return await work(extractor);
  } finally {
    await extractor.close();
  }
}

async function translated(
  { options, signal }: Call,
  model: DiffusionModel,
  images: Float32Array,
  extractor: Classifier | undefined,
  progress: Progress,
): Promise<ImageBatch> {
  const mask = options.string('mask');
  const found = await translate(model, images, {
    method: options.choice('method', translationMethods),
    extractor,
    lambdaS: options.number('lambda-s'),
    lambdaI: options.number('lambda-i'),
    factor: options.integer('factor'),
    similarity: options.choice('similarity', similarities),
    start: options.number('start'),
    end: options.number('end'),
    mask: mask === undefined ? undefined : await readMask(mask, model.sampleShape),
    stride: options.integer('stride'),
    repeats: options.integer('repeats'),
    seed: options.seed('seed'),
    batch: options.integer('batch'),
    signal,
    onProgress: progress.update,
  });
  return found.images;
}

/** Writes images; pictures keep their names in a folder. */
async function save(images: ImageBatch, out: string, names: readonly string[] | null, scale?: number): Promise<void> {
  if (names === null || imageFileKind(out) !== 'folder') {
    await makeFolder(dirname(out));
    await images.save(out, { scale });
    return;
  }
  await makeFolder(out);
  let index = 0;
  for (const image of images) await image.save(join(out, names[index++] ?? ''), { scale });
}

/** Refuses the sources' own folder: pictures keep their names and would replace the sources. */
async function requireOtherPlace(source: string, out: string): Promise<void> {
  const placeOf = (path: string): Promise<string> => realpath(path).catch(() => resolve(path));
  const [from, to] = [await placeOf(source), await placeOf(out)];
  if (from === to) throw usageError(`--out ${out} would overwrite the sources`);
  if (imageFileKind(out) === 'folder' && dirname(from) === to) {
    throw usageError(`--out ${out} is the folder of the source`);
  }
}

function means({ l2, psnr, ssim }: ImageComparison): { l2: number; psnr: number; ssim: number } {
  const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  return { l2: mean(l2), psnr: mean(psnr), ssim: mean(ssim) };
}

/** Compares results with their sources; null for images too small to compare by their structure, unless requested. */
function metricsOf(images: ImageBatch, sources: Float32Array, asked: boolean): ReturnType<typeof means> | null {
  const [, , height, width] = images.shape;
  if (!asked && Math.min(height, width) < WINDOW) return null;
  return means(compareImages(images, new ImageBatch(sources, images.shape, images.range)));
}

export const translateCommand: Command = {
  name: 'translate',
  summary: "Images of one domain as images of a model's: EGSDE with an extractor, SDEdit or ILVR without.",
  arguments: ['MODEL'],
  options: {
    source: { value: 'PATH', help: 'a .png, a folder of such, or safetensors with images [N,C,H,W], uint8 or float32' },
    out: outSpec('grid.png, images.safetensors or a folder, where pictures keep their names', 'MODEL', '.png'),
    method: specOf(facts.method),
    extractor: specOf(facts.extractor),
    'lambda-s': specOf(facts.lambdaS),
    'lambda-i': specOf(facts.lambdaI),
    factor: specOf(facts.factor),
    similarity: specOf(facts.similarity),
    start: specOf(facts.start),
    end: specOf(facts.end),
    mask: { value: 'FILE', help: 'a .png of what is kept of the source: white stays, black goes' },
    stride: specOf(facts.stride),
    repeats: specOf(facts.repeats),
    seed: specOf(facts.seed),
    batch: specOf(facts.batch),
    scale: scaleSpec,
    metrics: { help: 'also tells L2, PSNR and SSIM between sources and results, means over images' },
    ...modelOptions,
  },
  async run(call) {
    const { options, json } = call;
    const name = modelName(call.positionals[0] ?? '');
    const planned = await outOf(options, name, '.png');
    const source = options.required('source');
    await checkTarget(planned, { flag: '--out', endings: ['.png', '.safetensors'], folder: true });
    const orphan = extractorOptions.find((name) => options.has(name));
    if (!options.has('extractor') && orphan !== undefined) throw usageError(`--${orphan} is for --extractor`);
    askedScale(options, planned);
    await requireOtherPlace(source, planned);
    const progress = progressBar('translate', json);
    await withModel(call, async (model) => {
      const { images: sources, names } = await readNamedImages(source, model);
      const started = performance.now();
      try {
        const images = await withExtractor(call, model, (extractor) =>
          translated(call, model, sources, extractor, progress),
        );
        progress.stop();
        const seconds = (performance.now() - started) / 1000;
        const out = await writeOut(options, name, '.png', (path) =>
          save(images, path, names, scaleFor(options, path, images.shape)),
        );
        const metrics = metricsOf(images, sources, options.flag('metrics'));
        const { count } = images;
        if (json)
          printJson({ out, count, device: model.device.name, seconds, ...(options.flag('metrics') && metrics) });
        else printLine(`${counted(count, 'image')} in ${seconds.toFixed(1)} s on ${model.device.name} -> ${out}`);
        if (metrics === null) return;
        const { l2, psnr, ssim } = metrics;
        const shown = `L2 ${l2.toFixed(3)}, PSNR ${psnr.toFixed(2)} dB, SSIM ${ssim.toFixed(3)}`;
        if (options.flag('metrics') && !json) printLine(shown);
        if (ssim < LIKE_NOISE) {
          printNote(
            `the results are as unlike their sources as noise is (${shown}): try a smaller --start or --lambda-s`,
          );
        }
      } finally {
        progress.stop();
      }
    });
  },
};
