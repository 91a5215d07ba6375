// Batchers, their requests, and their ports.
import { MessageChannel } from 'node:worker_threads';

import * as dpm from '../../../lib/index.js';
import type { PublicCall } from '../attack.js';
import { of } from './of.js';

const pixels = 28 * 28;
const schedule = dpm.NoiseSchedule.linear({ steps: 100 });
const evaluate = (x: Float32Array): Float32Array => x;
const shape = [1, 2, 2] as const;
const request = { sampler: 'ddim', steps: 1 };

/** Calls of a batcher of a loaded model. */
export function servingCalls(model: dpm.DiffusionModel, batcher: dpm.Batcher): PublicCall[] {
  const opened = async (opening: Promise<{ close(): Promise<void> }>): Promise<void> => (await opening).close();
  const program = dpm.samplers.ddim(model.schedule, { steps: 1 });
  const answering = (use: (remote: dpm.RemoteBatcher) => Promise<unknown>): Promise<unknown> => {
    const { port1, port2 } = new MessageChannel();
    dpm.exposeBatcher(batcher, port1);
    return dpm.connectBatcher(port2).then(async (remote) => {
      try {
        return await use(remote);
      } finally {
        remote.close();
      }
    });
  };
  return [
    of('DiffusionModel.batcher', (options: never) => opened(model.batcher(options)), [{ rows: 1 }]),
    of('createBatcher', (options: never) => opened(dpm.createBatcher(options)), [{ shape, evaluate, schedule }]),
    of(
      'createBatcher: what evaluate returns',
      (answer: never) =>
        opened(dpm.createBatcher({ shape, schedule, evaluate: (x) => ((answer as unknown) === true ? x : answer) })),
      [true],
    ),
    of('createBatcher: models', (models: never, options: never) => opened(dpm.createBatcher(models, options)), [
      [model],
      { rows: 1 },
    ]),
    of('createBatcher: a model', (given: never) => opened(dpm.createBatcher([given])), [model]),
    of('compileTask', (task: never) => dpm.compileTask(task), [
      { schedule: [['linear', {}]], gamma: null, sampler: 'ddim', options: {} },
    ]),
    of('Batcher.sample', (options: never) => batcher.sample(options), [request]),
    of(
      'Batcher.stream',
      async (options: never) => {
        for await (const _ of batcher.stream(options)) break;
      },
      [request],
    ),
    of('Batcher.run', (programs: never, options: never) => batcher.run(programs, options), [{ ...program }, {}]),
    of('Batcher.forward', (x: never, t: never, options: never) => batcher.forward(x, t, options), [
      new Float32Array(pixels),
      1,
      {},
    ]),
    of('Batcher.expectedWait', (client: never) => batcher.expectedWait(client), [{}], { 0: ['tenant', 'priority'] }),
    of('Batcher.requireRoom', (client: never) => batcher.requireRoom(client), [{}], { 0: ['tenant', 'priority'] }),
    of('exposeBatcher', dpm.exposeBatcher, [batcher, new MessageChannel().port1]),
    of('connectBatcher: sample', (options: never) => answering((remote) => remote.sample(options)), [request]),
    of('connectBatcher: forward', (x: never, t: never) => answering((remote) => remote.forward(x, t)), [
      new Float32Array(pixels),
      1,
    ]),
  ];
}
