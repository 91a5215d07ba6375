import { dirname } from 'node:path';

import { Classifier } from '../guidance/classifier.js';
import { makeFolder } from '../files/files.js';
import { similarities } from '../translation/similarity.js';
import { translate } from '../translation/translate.js';
import { type Command, usageError } from './command.js';
import { readModelImages } from './images.js';
import { modelOptions, withModel } from './model-options.js';
import { printJson, printLine, progressBar } from './output.js';
import { checkTarget } from './target.js';

export const translateCommand: Command = {
  name: 'translate',
  summary: "Images of one domain as images of a model's: EGSDE with an extractor, SDEdit without.",
  arguments: ['MODEL'],
  options: {
    source: { value: 'FILE', help: 'safetensors with images [N,C,H,W], uint8 or float32 in model space' },
    out: { value: 'FILE', help: 'grid.png, images.safetensors or a folder' },
    extractor: { value: 'PATH', help: 'classifier of the domains, whose middle block compares images (EGSDE)' },
    'lambda-s': { value: 'W', help: "weight of leaving the source's domain; default 500" },
    'lambda-i': { value: 'W', help: "weight of keeping the source's low frequencies; default 2" },
    factor: { value: 'N', help: 'what is kept: frequencies of images smaller by this; default 32' },
    similarity: { value: 'NAME', help: `how features are compared: ${similarities.join(' or ')}; default cosine` },
    start: { value: 'SHARE', help: 'share of the noise that the source gets, above 0 to 1; default 0.5' },
    stride: { value: 'N', help: "every so many of the schedule's steps are made; default 1" },
    repeats: { value: 'K', help: 'how often the result is noised and translated again; default 1' },
    seed: { value: 'INT', help: 'of the noise; default 0' },
    batch: { value: 'N', help: 'most images at once; default 16' },
    scale: { value: 'N', help: 'pixels of a PNG for one of an image, along each side; default 1' },
    ...modelOptions,
  },
  async run(call) {
    const { options, json, signal } = call;
    const out = options.required('out');
    const source = options.required('source');
    await checkTarget(out, { flag: '--out', endings: ['.png', '.safetensors'], folder: true });
    const path = options.string('extractor');
    const orphan = ['lambda-s', 'lambda-i', 'factor', 'similarity'].find((name) => options.has(name));
    if (path === undefined && orphan !== undefined) throw usageError(`--${orphan} is for --extractor`);
    const progress = progressBar('translate', json);
    await withModel(call, async (model) => {
      const images = await readModelImages(source, model);
      const extractor = path === undefined ? undefined : await Classifier.load(path, { device: model.device });
      const started = performance.now();
      try {
        const found = await translate(model, images, {
          extractor,
          lambdaS: options.number('lambda-s'),
          lambdaI: options.number('lambda-i'),
          factor: options.integer('factor'),
          similarity: options.choice('similarity', similarities),
          start: options.number('start'),
          stride: options.integer('stride'),
          repeats: options.integer('repeats'),
          seed: options.seed('seed'),
          batch: options.integer('batch'),
          signal,
          onProgress: (done, total) => {
            progress.update(done, total);
          },
        });
        progress.stop();
        await makeFolder(dirname(out));
        await found.images.save(out, { scale: options.integer('scale') });
        const seconds = (performance.now() - started) / 1000;
        const { count } = found.images;
        if (json) printJson({ out, count, device: model.device.name, seconds });
        else printLine(`${count} images in ${seconds.toFixed(1)} s on ${model.device.name} -> ${out}`);
      } finally {
        progress.stop();
        await extractor?.close();
      }
    });
  },
};
