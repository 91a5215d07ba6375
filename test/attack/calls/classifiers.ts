// Calls of a classifier, whose folder is given, too.
import * as dpm from '../../../lib/index.js';
import type { PublicCall } from '../attack.js';
import { of } from './of.js';

export function classifierCalls(classifier: dpm.Classifier, classifierFolder: string): PublicCall[] {
  return [
    of('Classifier.load', async (path: never, options: never) => (await dpm.Classifier.load(path, options)).close(), [
      classifierFolder,
      { device: 'cpu', threads: 1 },
    ]),
    of('Classifier.logits', (given: never, t: never) => classifier.logits(given, t), [new Float32Array(768), 1]),
    of('Classifier.gradient', (given: never, t: never, labels: never) => classifier.gradient(given, t, labels), [
      new Float32Array(768),
      1,
      [3],
    ]),
    of('Classifier.guide', (options: never) => classifier.guide(options), [{ labels: 1 }]),
    of(
      'Classifier.guide: its gradients',
      (options: never) => classifier.guide(options)(new Float32Array(768), new Float32Array(1), 0),
      [{ labels: 1 }],
    ),
  ];
}
