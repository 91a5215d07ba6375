import { elementCount } from '../base/arrays.js';
import { wrongValue } from '../base/checks.js';
import { DpmError } from '../base/errors.js';
import {
  checkOptions,
  either,
  instanceOf,
  integerFrom,
  isList,
  kinds,
  requireKind,
  threeSizes,
  type OptionKinds,
} from '../base/option-kinds.js';
import { centredRange } from '../base/pixel-range.js';
import { Device } from '../engine/device.js';
import { compileSampler, taskOf } from '../samplers/compile.js';
import { scheduleKind, type NoiseSchedule } from '../schedule/noise-schedule.js';
import { Batcher, type BatchedModel } from './batcher.js';
import { batcherOptionKinds, type BatcherOptions } from './options.js';
import { ReplicatedBatcher, type BatchableModel } from './replicas.js';
import { ScriptNetwork, thrownBy, type BatchEvaluate } from '../run/script-network.js';

/** Options of {@link createBatcher}. */
export interface ScriptBatcherOptions extends BatcherOptions {
  /** Shape [C, H, W] of one sample. */
  shape: readonly [channels: number, height: number, width: number];
  /** Function that predicts; see {@link BatchEvaluate}. */
  evaluate: BatchEvaluate;
  /** Noise schedule that the model was trained with. Without a schedule, only `run` is available. */
  schedule?: NoiseSchedule | undefined;
  /** Number of labels; 0: the model takes none. Default 0. */
  classes?: number | undefined;
  /** True if `evaluate` returns `{ out, head }`, for samplers that read a second output. Default false. */
  head?: boolean | undefined;
  /** Device that keeps and updates the states: a name, or an open device. Default: the cpu with one thread. */
  device?: string | Device | undefined;
}

const scriptKinds: OptionKinds<ScriptBatcherOptions> = {
  ...batcherOptionKinds,
  shape: threeSizes,
  evaluate: kinds.function,
  schedule: scheduleKind,
  classes: integerFrom(0),
  head: kinds.boolean,
  device: either(kinds.string, instanceOf('a Device', Device)),
};

function servedScript(device: Device, isOwn: boolean, options: ScriptBatcherOptions) {
  const { shape, evaluate, schedule, classes = 0, head = false } = options;
  const image = elementCount(shape);
  const plain = new ScriptNetwork(device, { elements: image, classes, head: false }, evaluate);
  const withHead = new ScriptNetwork(device, { elements: image, classes, head: true }, evaluate);
  const model: BatchedModel = {
    name: 'a model in JavaScript',
    run: {
      sampleShape: shape,
      range: schedule?.defaults.dataRange ?? centredRange,
      labelForNone: undefined,
      network(wanted) {
        if (wanted === null) return Promise.resolve(plain);
        if (head) return Promise.resolve(withHead);
        return Promise.reject(
          new DpmError(
            'ERR_DPM_ARGUMENT',
            `the program reads the second output '${wanted}', the model has none (head)`,
          ),
        );
      },
    },
    sizes: { image, out: image, head: head ? image : 0, rowBytes: 0 },
    isConditional: classes > 0,
    compile(sampler, own) {
      if (schedule === undefined) throw wrongValue('schedule', schedule, 'given, for samplers by their names');
      return compileSampler({ schedule, gamma: null }, sampler, own);
    },
    task: (sampler, own) => (schedule === undefined ? null : taskOf({ schedule, gamma: null }, sampler, own)),
    released: () => (isOwn ? device.close() : undefined),
    forward: () => Promise.reject(new DpmError('ERR_DPM_INTERNAL', 'a model in JavaScript evaluates in its batch')),
  };
  return { model, thrown: (error: unknown) => thrownBy([plain, withHead], error) };
}

/**
 * Opens a batch over several equal models on engines of their own: see {@link ReplicatedBatcher}.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` if the models differ in shape; and the errors of `model.batcher`.
 *
 * @example
 * ```ts
 * const models = await Promise.all(['cuda:0', 'cuda:1'].map((device) => DiffusionModel.load(path, { device })));
 * await using batcher = await createBatcher(models, { maxWait: 5000 });
 * ```
 */
export function createBatcher(models: readonly BatchableModel[], options?: BatcherOptions): Promise<ReplicatedBatcher>;
/**
 * Opens a batch over a model written in JavaScript, e.g. one that calls another runtime or another machine. Requests
 * join and leave at every call of its function, which receives a compact batch with one time per row.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming a wrong option; the error of `evaluate` while it is measured.
 *
 * @example
 * ```ts
 * const schedule = NoiseSchedule.linear();
 * await using batcher = await createBatcher({ shape: [3, 32, 32], schedule, evaluate: (x, t) => session.run(x, t) });
 * const { images } = await batcher.sample({ sampler: 'ddim', steps: 25 });
 * ```
 */
export function createBatcher(options: ScriptBatcherOptions): Promise<Batcher>;
export async function createBatcher(
  of: readonly BatchableModel[] | ScriptBatcherOptions,
  options: BatcherOptions = {},
): Promise<Batcher | ReplicatedBatcher> {
  return isList(of)
    ? ReplicatedBatcher.open(of as readonly BatchableModel[], options)
    : scriptBatcher(of as ScriptBatcherOptions);
}

async function scriptBatcher(options: ScriptBatcherOptions): Promise<Batcher> {
  checkOptions('createBatcher', options, scriptKinds);
  const { shape, evaluate, schedule: _schedule, classes: _classes, head: _head, device, ...batching } = options;
  for (const [name, value] of [
    ['shape', shape],
    ['evaluate', evaluate],
  ] as const) {
    requireKind(name, value, scriptKinds[name]);
  }
  const isOwn = !(device instanceof Device);
  const opened = isOwn ? Device.open({ device: device ?? 'cpu', threads: 1 }) : device;
  const served = servedScript(opened, isOwn, options);
  try {
    return await Batcher.open(served.model, batching);
  } catch (error) {
    if (isOwn) await opened.close();
    throw served.thrown(error);
  }
}
