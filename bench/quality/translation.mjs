// Counts how many of the bundled printed digits keep their class when they are translated to handwritten ones, how many of these
// are handwritten, and how far they are from their sources. The bundled classifiers decide both.
// usage: node bench/quality/translation.mjs [--device cpu] [--seed 1]
import { parseArgs } from 'node:util';

import {
  Classifier,
  compareImages,
  DiffusionModel,
  ImageBatch,
  readFloats,
  readSafetensorsHeader,
  translate,
} from '../../dist/index.js';

const { values } = parseArgs({
  options: { device: { type: 'string', default: 'cpu' }, seed: { type: 'string', default: '1' } },
});
const [HANDWRITTEN, FACTOR, STRIDE] = [1, 4, 10];

const ways = [
  ['SDEdit, start 0.3', { start: 0.3 }],
  ['SDEdit, start 0.4', { start: 0.4 }],
  ['EGSDE, start 0.4, defaults', { start: 0.4 }],
  ['EGSDE, start 0.4, lambdaS 120, lambdaI 8', { start: 0.4, lambdaS: 120, lambdaI: 8, factor: FACTOR }],
  ['EGSDE, start 0.4, lambdaS 60, lambdaI 6', { start: 0.4, lambdaS: 60, lambdaI: 6, factor: FACTOR }],
  ['EGSDE, start 0.35, lambdaS 60, lambdaI 10', { start: 0.35, lambdaS: 60, lambdaI: 10, factor: FACTOR }],
  ['ILVR, factor 4', { method: 'ilvr', factor: FACTOR }],
  ['ILVR, factor 4, end 0.3', { method: 'ilvr', factor: FACTOR, end: 0.3 }],
  ['ILVR, factor 4, end 0.5', { method: 'ilvr', factor: FACTOR, end: 0.5 }],
  ['ILVR, factor 7, end 0.3', { method: 'ilvr', factor: 7, end: 0.3 }],
];

/** The share of images whose most probable class is the wanted one. */
function share(logits, classes, wanted) {
  const hits = Array.from({ length: logits.length / classes }, (_, n) => {
    const own = [...logits.subarray(n * classes, (n + 1) * classes)];
    return own.indexOf(Math.max(...own)) === wanted(n);
  });
  return hits.filter(Boolean).length / hits.length;
}

const mean = (numbers) => numbers.reduce((sum, value) => sum + value, 0) / numbers.length;

const model = await DiffusionModel.load('mnist', { device: values.device });
const digits = await Classifier.load('mnist-classifier', { device: model.device });
const extractor = await Classifier.load('mnist-domains', { device: model.device });
const header = await readSafetensorsHeader(
  new URL('../../models/mnist-domains/printed-digits.safetensors', import.meta.url).pathname,
);
const printed = await readFloats(header, 'images', ['U8']);
const { data: labels } = await readFloats(header, 'labels', ['U8', 'I32', 'I64']);
const sources = new ImageBatch(
  printed.data.map((level) => level / 127.5 - 1),
  printed.shape,
);

console.log('| method | keeps its class | handwritten | L2 | PSNR | SSIM | seconds |');
console.log('| --- | --- | --- | --- | --- | --- | --- |');
for (const [name, options] of ways) {
  const started = performance.now();
  const { images } = await translate(model, sources.data, {
    ...options,
    ...(name.startsWith('EGSDE') && { extractor }),
    stride: STRIDE,
    batch: 32,
    seed: Number(values.seed),
  });
  const seconds = (performance.now() - started) / 1000;
  const kept = share(await digits.logits(images.data, 0), digits.classes, (n) => labels[n]);
  const handwritten = share(await extractor.logits(images.data, 0), extractor.classes, () => HANDWRITTEN);
  const { l2, psnr, ssim } = compareImages(images, sources);
  const cells = [
    kept.toFixed(2),
    handwritten.toFixed(2),
    mean(l2).toFixed(2),
    mean(psnr).toFixed(2),
    mean(ssim).toFixed(3),
  ];
  console.log(`| ${[name, ...cells, seconds.toFixed(0)].join(' | ')} |`);
}
await extractor.close();
await digits.close();
await model.close();
