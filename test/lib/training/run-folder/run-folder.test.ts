// The folder of a run: begun, gone on with, killed at every point, on a full disk, with damaged checkpoints.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join, relative } from 'node:path';

import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';

import { DpmError } from '../../../../lib/base/errors.js';
import { diffusersFile } from '../../../../lib/checkpoint/families/diffusers-file.js';
import { ho } from '../../../../lib/checkpoint/families/ho.js';
import { readModelFolder } from '../../../../lib/checkpoint/read-model.js';
import { readSafetensorsHeader } from '../../../../lib/files/safetensors.js';
import { readFloats } from '../../../../lib/files/tensor-data.js';
import { initialWeights } from '../../../../lib/training/initial-weights.js';
import { readLosses, type StepMetrics } from '../../../../lib/training/metrics.js';
import { sourcesOf, type WeightTensors } from '../../../../lib/engine/checkpoint-tensors.js';
import {
  trainingParts,
  type TrainingCheckpoint,
  type TrainingPart,
  type WholeCheckpoint,
} from '../../../../lib/training/run-folder/checkpoint-files.js';
import { systemDisk, type Disk } from '../../../../lib/training/run-folder/disk.js';
import { RunLock } from '../../../../lib/training/run-folder/lock.js';
import { filesOfNetwork, type NetworkOfRun } from '../../../../lib/training/run-folder/model-files.js';
import { RunFolder, type RunFolderOptions } from '../../../../lib/training/run-folder/run-folder.js';
import { failure } from '../../../support/failure.js';
import { packagePath, temporaryFolder } from '../../../support/temporary.js';

const folder = temporaryFolder();
let places = 0;
const fresh = (): string => join(folder, `run-${places++}`);

const initial = (name: string): Record<string, unknown> =>
  (
    JSON.parse(readFileSync(packagePath(`test/fixtures/gradients/initial/${name}.json`), 'utf8')) as {
      config: Record<string, unknown>;
    }
  ).config;

const config = initial('diffusers');
const network: NetworkOfRun = {
  config,
  scheduler: diffusersFile.layout.scheduler,
  layout: diffusersFile.layout,
  head: null,
};
const options: RunFolderOptions = {
  settings: { batch: 8, rate: 2e-4, head: undefined },
  model: filesOfNetwork(network),
};

let weights: WeightTensors;
beforeAll(async () => {
  weights = await initialWeights(diffusersFile.network(config, 'config.json'), 1);
});

const shifted = (tensors: WeightTensors, by: number): WeightTensors =>
  new Map([...tensors].map(([name, { shape, data }]) => [name, { shape, data: data.map((value) => value + by) }]));

/** Tensors whose numbers tell their step; only the average, which is a model, has all weights. */
function tensorsOf(step: number): Record<TrainingPart, WeightTensors> {
  const few = new Map([...weights].filter(([name]) => name.startsWith('conv_')));
  return {
    parameters: shifted(few, step),
    firstMoments: shifted(few, -1),
    secondMoments: shifted(few, 2),
    average: shifted(weights, step / 4),
  };
}

function checkpoint(step: number, tensors = tensorsOf(step)): TrainingCheckpoint {
  return { step, progress: { seconds: step / 2 }, part: (name) => sourcesOf(tensors[name]) };
}

/** Tells checkpoints apart by every bit of them. */
async function digest(of: TrainingCheckpoint | WholeCheckpoint | null): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify([of?.step, of?.progress]));
  for (const part of trainingParts) {
    for (const [name, { shape, data }] of [...((await of?.part(part)) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const { buffer, byteOffset, byteLength } = await data();
      hash.update(`${part} ${name} ${shape.join()}`).update(new Uint8Array(buffer, byteOffset, byteLength));
    }
  }
  return hash.digest('hex');
}

const metrics = (step: number): StepMetrics => ({
  step,
  loss: 1 / step,
  gradientNorm: 1,
  rate: 1e-4,
  averageDecay: 0.5,
  imagesPerSecond: 1,
  seconds: step,
});

async function trained(path: string, ...steps: number[]): Promise<void> {
  await using run = await RunFolder.open(path, options);
  for (let step = (run.newest?.step ?? 0) + 1; step <= Math.max(...steps); ++step) {
    await run.metrics.add(metrics(step));
    if (steps.includes(step)) await run.save(checkpoint(step));
  }
}

const checkpointsOf = (path: string): string[] => readdirSync(join(path, 'checkpoints')).sort();

/** Requires the folder to be a model, and gives the first element of its input's bias. */
async function modelOf(path: string): Promise<number> {
  const model = await readModelFolder(path);
  const { report } = await model.select(null);
  expect(report).toEqual({ missing: [], unused: [], misshapen: [] });
  const header = await readSafetensorsHeader(join(path, 'unet', 'diffusion_pytorch_model.safetensors'));
  return (await readFloats(header, 'conv_in.bias')).data[0]!;
}

const biasOf = (step: number): number => tensorsOf(step).average.get('conv_in.bias')!.data[0]!;

describe('the folder of a run', () => {
  it('is a model from the first checkpoint on, with the newest checkpoints', async () => {
    const path = fresh();
    await trained(path, 2, 4, 10);
    expect(readdirSync(path).sort()).toEqual([
      'checkpoints',
      'metrics.jsonl',
      'model_index.json',
      'run.json',
      'scheduler',
      'unet',
    ]);
    expect(checkpointsOf(path)).toEqual(['step-10', 'step-4']);
    expect(readdirSync(join(path, 'checkpoints', 'step-10')).sort()).toEqual([
      'average.safetensors',
      'first_moments.safetensors',
      'parameters.safetensors',
      'second_moments.safetensors',
      'state.json',
    ]);
    expect(await modelOf(path)).toBe(biasOf(10));
  });

  it('names the classes of its network and of its scheduler', async () => {
    const path = fresh();
    const scheduler = { ...network.scheduler, _class_name: 'DDIMScheduler' };
    await (await RunFolder.open(path, { ...options, model: filesOfNetwork({ ...network, scheduler }) })).close();
    expect(JSON.parse(readFileSync(join(path, 'model_index.json'), 'utf8'))).toEqual({
      _class_name: 'DDPMPipeline',
      scheduler: ['diffusers', 'DDIMScheduler'],
      unet: ['diffusers', 'UNet2DModel'],
    });
  });

  it('of another family has its layout', async () => {
    const path = fresh();
    const ofHo = initial('ho');
    const average = await initialWeights(ho.network(ofHo, 'config.json'), 1);
    await using run = await RunFolder.open(path, {
      settings: {},
      model: filesOfNetwork({ config: ofHo, scheduler: ho.layout.scheduler, layout: ho.layout, head: null }),
    });
    await run.save({ step: 1, progress: {}, part: () => sourcesOf(average) });
    const { report } = await (await readModelFolder(path)).select(null);
    expect(report.missing).toEqual([]);
  });

  it('is gone on with to the bit, behind the line of its checkpoint', async () => {
    const path = fresh();
    await trained(path, 3);
    appendFileSync(join(path, 'metrics.jsonl'), `${JSON.stringify(metrics(4))}\n${JSON.stringify(metrics(5))}\n{"st`);
    await using run = await RunFolder.open(path, options);
    expect(await digest(run.newest)).toBe(await digest(checkpoint(3)));
    expect(run.damaged).toEqual([]);
    expect((await readLosses(join(path, 'metrics.jsonl'))).map(({ step }) => step)).toEqual([1, 2, 3]);
  });

  it('keeps as many checkpoints as are asked for', async () => {
    const path = fresh();
    for (const [kept, left] of [
      [1, ['step-30']],
      [3, ['step-30', 'step-31', 'step-32']],
    ] as const) {
      await using run = await RunFolder.open(path, { ...options, checkpointsKept: kept });
      const first = (run.newest?.step ?? 27) + 1;
      for (let step = first; step < first + (kept === 1 ? 3 : 2); ++step) await run.save(checkpoint(step));
      expect(checkpointsOf(path)).toEqual(left);
    }
    const error = await failure(RunFolder.open(path, { ...options, checkpointsKept: 0 }));
    expect(error.code).toBe('ERR_DPM_ARGUMENT');
  });

  it('names the option that has changed', async () => {
    const path = fresh();
    await trained(path, 1);
    for (const [settings, message] of [
      [{ batch: 16, rate: 2e-4 }, /^batch is 16, .* begun with 8/],
      [{ batch: 8 }, /^rate is not given, .* begun with 0\.0002/],
      [{ batch: 8, rate: 2e-4, seed: 1 }, /^seed is 1, .* begun with not given/],
    ] as const) {
      const error = await failure(RunFolder.open(path, { ...options, settings }));
      expect([error.code, error.message]).toEqual(['ERR_DPM_ARGUMENT', expect.stringMatching(message)]);
    }
    const other = { ...network, config: { ...config, norm_eps: 1e-6 } };
    expect((await failure(RunFolder.open(path, { ...options, model: filesOfNetwork(other) }))).message).toMatch(
      /^network is/,
    );
    // The order of keys is none.
    const turned = { ...network, config: Object.fromEntries(Object.entries(config).reverse()) };
    await (await RunFolder.open(path, { settings: { rate: 2e-4, batch: 8 }, model: filesOfNetwork(turned) })).close();
    expect(await modelOf(path)).toBe(biasOf(1));
  });

  it.each<[string, (path: string) => void, RegExp]>([
    [
      'files of others',
      (path) => {
        writeFileSync(join(path, 'thesis.tex'), '');
      },
      /thesis\.tex/,
    ],
    [
      'a model',
      (path) => {
        mkdirSync(join(path, 'unet'));
        writeFileSync(join(path, 'unet', 'diffusion_pytorch_model.safetensors'), '');
      },
      /diffusion_pytorch_model/,
    ],
  ])('is not begun where there are %s', async (_, fill, message) => {
    const path = fresh();
    mkdirSync(path);
    fill(path);
    const before = readdirSync(path);
    const error = await failure(RunFolder.open(path, options));
    expect([error.code, error.message]).toEqual(['ERR_DPM_FILE', expect.stringMatching(message)]);
    expect(readdirSync(path)).toEqual(before);
  });

  it('is begun beside the file of another process that asks for its lock', async () => {
    const path = fresh();
    mkdirSync(path);
    writeFileSync(join(path, '.lock.0123456789ab.tmp'), '');
    await (await RunFolder.open(path, options)).close();
    expect(existsSync(join(path, 'run.json'))).toBe(true);
  });

  it('that is closed has its metrics closed', async () => {
    const run = await RunFolder.open(fresh(), options);
    await run.close();
    expect(await failure(run.metrics.add(metrics(1)))).toMatchObject({ code: 'ERR_DPM_FILE' });
  });

  it.each<[string, string, RegExp]>([
    ['text', 'x', /run\.json is not JSON/],
    ['a list', '[]', /run\.json is not a JSON object/],
    ['another format', '{"format":2,"options":{}}', /format/],
    ['no options', '{"format":1}', /options/],
  ])('with %s in run.json is refused', async (_, text, message) => {
    const path = fresh();
    await trained(path, 1);
    writeFileSync(join(path, 'run.json'), text);
    const error = await failure(RunFolder.open(path, options));
    expect(error.message).toMatch(message);
    expect(existsSync(join(path, '.lock'))).toBe(false);
  });

  it('takes no tensor that does not fit its shape', async () => {
    const path = fresh();
    await trained(path, 1);
    await using run = await RunFolder.open(path, options);
    const wrong = { ...tensorsOf(2), average: new Map([['a', { shape: [2], data: new Float32Array(3) }]]) };
    const error = await failure(run.save(checkpoint(2, wrong)));
    expect([error.code, error.message]).toEqual(['ERR_DPM_TENSOR_SHAPE', "average: tensor 'a' of [2] has 3 elements"]);
    expect([checkpointsOf(path), await modelOf(path)]).toEqual([['step-1'], biasOf(1)]);
  });

  it('asks for one part of a checkpoint at a time, and for each once', async () => {
    await using run = await RunFolder.open(fresh(), options);
    const tensors = tensorsOf(1);
    const asked: string[] = [];
    await run.save({
      step: 1,
      progress: {},
      part: (name) => {
        asked.push(name);
        const sources = sourcesOf(tensors[name]);
        return new Map(
          [...sources].map(([tensor, source]) => [
            tensor,
            { ...source, data: () => (asked.push(`of ${name}`), source.data()) },
          ]),
        );
      },
    });
    const runs = asked.filter((name, i) => name !== asked[i - 1]);
    expect(runs).toEqual(trainingParts.flatMap((name) => [name, `of ${name}`]));
  });
});

describe('damaged checkpoints', () => {
  const damages: [string, (checkpointPath: string) => void, RegExp][] = [
    [
      'one byte',
      (path) => {
        const file = join(path, 'parameters.safetensors');
        const bytes = readFileSync(file);
        bytes[bytes.length - 5]! ^= 1;
        writeFileSync(file, bytes);
      },
      /parameters\.safetensors is not what was written/,
    ],
    [
      'a shorter file',
      (path) => {
        truncateSync(join(path, 'average.safetensors'), 100);
      },
      /average\.safetensors has 100 bytes/,
    ],
    [
      'a longer file',
      (path) => {
        appendFileSync(join(path, 'average.safetensors'), '\0');
      },
      /average\.safetensors has \d+ bytes/,
    ],
    [
      'a file that is gone',
      (path) => {
        rmSync(join(path, 'second_moments.safetensors'));
      },
      /second_moments\.safetensors/,
    ],
    [
      'no state',
      (path) => {
        rmSync(join(path, 'state.json'));
      },
      /state\.json/,
    ],
    [
      'half a state',
      (path) => {
        truncateSync(join(path, 'state.json'), 40);
      },
      /state\.json is not JSON/,
    ],
    [
      'an empty state',
      (path) => {
        writeFileSync(join(path, 'state.json'), '{}');
      },
      /format/,
    ],
    ...[3, 5].map((step): [string, (path: string) => void, RegExp] => [
      `step ${step}`,
      (path) => {
        const file = join(path, 'state.json');
        writeFileSync(file, readFileSync(file, 'utf8').replace('"step": 4', `"step": ${step}`));
      },
      new RegExp(`says that it is of step ${step}`),
    ]),
    [
      'no hash',
      (path) => {
        const file = join(path, 'state.json');
        writeFileSync(file, readFileSync(file, 'utf8').replaceAll('sha256', 'md5'));
      },
      /sha256/,
    ],
    [
      'a negative size',
      (path) => {
        const file = join(path, 'state.json');
        writeFileSync(file, readFileSync(file, 'utf8').replaceAll(/"bytes": \d+/g, '"bytes": -1'));
      },
      /bytes/,
    ],
    [
      'nothing',
      (path) => {
        rmSync(path, { recursive: true });
        writeFileSync(path, '');
      },
      /state\.json/,
    ],
  ];

  it.each(damages)('are passed over and told: %s', async (_, damage, message) => {
    const path = fresh();
    await trained(path, 2, 4);
    damage(join(path, 'checkpoints', 'step-4'));
    {
      await using run = await RunFolder.open(path, options);
      expect(await digest(run.newest)).toBe(await digest(checkpoint(2)));
      expect(run.damaged).toHaveLength(1);
      expect(run.damaged[0]!.error.message).toMatch(message);
      expect(run.damaged[0]!.path).toBe(join(path, 'checkpoints', 'damaged-step-4'));
      expect(existsSync(run.damaged[0]!.path)).toBe(true);
      expect((await readLosses(join(path, 'metrics.jsonl'))).map(({ step }) => step)).toEqual([1, 2]);
      expect(await modelOf(path)).toBe(biasOf(2));
    }
    await trained(path, 3, 4);
    expect(checkpointsOf(path)).toEqual(['damaged-step-4', 'step-3', 'step-4']);
  });

  it('take the name of the one of their step that was damaged before', async () => {
    const path = fresh();
    await trained(path, 2, 4);
    for (const text of ['first', 'second']) {
      writeFileSync(join(path, 'checkpoints', 'step-4', 'state.json'), text);
      await trained(path, 4);
      expect(readFileSync(join(path, 'checkpoints', 'damaged-step-4', 'state.json'), 'utf8')).toBe(text);
    }
  });

  it('end a run that has no other', async () => {
    const path = fresh();
    await trained(path, 2, 4);
    for (const step of [2, 4]) truncateSync(join(path, 'checkpoints', `step-${step}`, 'state.json'), 3);
    const error = await failure(RunFolder.open(path, options));
    expect(error.message).toMatch(/all of its 2 checkpoints are damaged/);
    expect(checkpointsOf(path)).toEqual(['step-2', 'step-4']);
  });
});

/** A disk that fails at one of its calls; a kill also at every later one, and with half of a file written. */
class FailingDisk implements Disk {
  calls = 0;
  #dead = false;

  constructor(
    private at: number,
    private readonly kind: 'kill' | 'full',
  ) {}

  heal(): void {
    this.at = Infinity;
  }

  #fails(): boolean {
    if (this.#dead) throw new Error('killed');
    return this.calls++ === this.at;
  }

  #fail(): never {
    if (this.kind === 'full') throw new DpmError('ERR_DPM_FILE', 'cannot write: ENOSPC: no space left on device');
    this.#dead = true;
    throw new Error('killed');
  }

  async makeFolder(path: string): Promise<void> {
    if (this.#fails()) this.#fail();
    await systemDisk.makeFolder(path);
  }

  async write(...[path, parts]: Parameters<Disk['write']>): Promise<void> {
    if (this.#fails()) {
      if (this.kind === 'kill') {
        const all: Buffer[] = [];
        for await (const part of parts) all.push(Buffer.from(part));
        const whole = Buffer.concat(all);
        writeFileSync(join(path, '..', '.dpm-0123456789ab.tmp'), whole.subarray(0, whole.length / 2));
      }
      this.#fail();
    }
    await systemDisk.write(path, parts);
  }

  async rename(from: string, to: string): Promise<void> {
    if (this.#fails()) this.#fail();
    await systemDisk.rename(from, to);
  }

  async remove(path: string): Promise<void> {
    // A full disk can remove.
    if (this.#fails() && this.kind === 'kill') {
      if (existsSync(path) && statSync(path).isDirectory()) {
        const [first] = readdirSync(path);
        if (first !== undefined) rmSync(join(path, first));
      }
      this.#fail();
    }
    await systemDisk.remove(path);
  }

  async sync(path: string): Promise<void> {
    if (this.#fails() && this.kind === 'kill') this.#fail();
    await systemDisk.sync(path);
  }
}

let prepared: Promise<string> | undefined;

/** A run with two checkpoints, made once. */
async function withTwo(): Promise<string> {
  prepared ??= (async () => {
    const path = fresh();
    await trained(path, 2, 4);
    return path;
  })();
  const path = fresh();
  cpSync(await prepared, path, { recursive: true });
  return path;
}

/** Models that a folder may have whose checkpoint of step 6 was begun: that of step 6 only behind its checkpoint. */
function modelsOf(path: string): number[] {
  return checkpointsOf(path).includes('step-6') ? [biasOf(4), biasOf(6)] : [biasOf(4)];
}

/** Lists files that no run may leave. */
function unfinished(path: string): string[] {
  return (readdirSync(path, { recursive: true }) as string[]).filter((name) => name.endsWith('.tmp'));
}

describe('a run that is killed', () => {
  it('while it begins can begin again', async () => {
    let calls = Infinity;
    for (let at = 0; at < calls; ++at) {
      const path = fresh();
      const disk = new FailingDisk(at, 'kill');
      const opened = await RunFolder.open(path, options, disk).catch(() => null);
      await opened?.close();
      if (opened !== null) calls = disk.calls;
      await trained(path, 1);
      expect(unfinished(path)).toEqual([]);
      expect(await modelOf(path)).toBe(biasOf(1));
    }
    expect(calls).toBeGreaterThan(6);
  });

  it('while it writes a checkpoint goes on from that or from the one before', async () => {
    const found = new Set<number>();
    let calls = Infinity;
    for (let at = 0; at < calls; ++at) {
      const path = await withTwo();
      const disk = new FailingDisk(at, 'kill');
      const run = await RunFolder.open(path, options, disk);
      for (const step of [5, 6]) await run.metrics.add(metrics(step));
      const done = await run.save(checkpoint(6)).then(
        () => true,
        () => false,
      );
      await run.close();
      if (done) calls = disk.calls;
      expect(modelsOf(path)).toContain(await modelOf(path));
      await using again = await RunFolder.open(path, options);
      expect(again.damaged).toEqual([]);
      const step = again.newest!.step;
      found.add(step);
      expect(await digest(again.newest)).toBe(await digest(checkpoint(step)));
      expect(await modelOf(path)).toBe(biasOf(step));
      expect((await readLosses(join(path, 'metrics.jsonl'))).at(-1)!.step).toBe(step);
      expect(unfinished(path)).toEqual([]);
      if (done) expect(checkpointsOf(path)).toEqual(['step-4', 'step-6']);
    }
    expect(found).toEqual(new Set([4, 6]));
    expect(calls).toBeGreaterThan(10);
  });
});

/** A disk that writes down what it does; parts of names that are drawn are left out. */
function recordingDisk(root: string, calls: string[]): Disk {
  const shown = (path: string): string =>
    (relative(root, path).replaceAll('\\', '/') || '.').replace(/\.[0-9a-f]{12}(?=\.tmp(?:\/|$))/, '');
  const tell = (call: string, ...paths: string[]): void => void calls.push([call, ...paths.map(shown)].join(' '));
  return {
    makeFolder: (path) => systemDisk.makeFolder(path),
    write(path, parts) {
      tell('write', path);
      return systemDisk.write(path, parts);
    },
    rename(from, to) {
      tell('rename', from, to);
      return systemDisk.rename(from, to);
    },
    remove(path) {
      tell('remove', path);
      return systemDisk.remove(path);
    },
    sync(path) {
      tell('sync', path);
      return systemDisk.sync(path);
    },
  };
}

describe('a crash of the machine', () => {
  it('finds the beginning of a run before run.json, and all names', async () => {
    const path = fresh();
    const calls: string[] = [];
    await (await RunFolder.open(path, options, recordingDisk(path, calls))).close();
    expect(calls).toEqual([
      'write unet/config.json',
      'write scheduler/scheduler_config.json',
      'write model_index.json',
      'write run.json',
      'sync .',
    ]);
  });

  it('finds metrics before their checkpoint, that before the model, and names before the next', async () => {
    const path = fresh();
    const calls: string[] = [];
    await using run = await RunFolder.open(path, { ...options, checkpointsKept: 1 }, recordingDisk(path, calls));
    const sync = run.metrics.sync.bind(run.metrics);
    vi.spyOn(run.metrics, 'sync').mockImplementation(() => {
      calls.push('sync metrics.jsonl');
      return sync();
    });
    await run.save(checkpoint(1));
    calls.length = 0;
    await run.save(checkpoint(2));
    const own = 'checkpoints/.step-2.tmp';
    expect(calls).toEqual([
      'sync metrics.jsonl',
      ...['parameters', 'first_moments', 'second_moments', 'average'].map((name) => `write ${own}/${name}.safetensors`),
      `write ${own}/state.json`,
      `sync ${own}`,
      `rename ${own} checkpoints/step-2`,
      'sync checkpoints',
      'write unet/diffusion_pytorch_model.safetensors',
      'sync unet',
      'rename checkpoints/step-1 checkpoints/.step-1.tmp',
      'remove checkpoints/.step-1.tmp',
    ]);
  });

  it('finds what is on the disk: files and metrics are synced, and folders where the system can', async () => {
    const path = fresh();
    mkdirSync(path);
    await using run = await RunFolder.open(fresh(), options);
    await using file = await open(join(path, 'any'), 'w');
    const sync = vi.spyOn(Object.getPrototypeOf(file) as FileHandle, 'sync');
    onTestFinished(() => {
      sync.mockRestore();
    });
    for (const work of [
      () => systemDisk.write(join(path, 'other'), ['a']),
      () => systemDisk.sync(path),
      () => run.metrics.sync(),
    ]) {
      sync.mockClear();
      await work();
      expect(sync).toHaveBeenCalledOnce();
    }
  });
});

describe('a full disk', () => {
  it('leaves the last checkpoint and the model whole, and no file behind', async () => {
    let calls = Infinity;
    let failures = 0;
    for (let at = 0; at < calls; ++at) {
      const path = await withTwo();
      const disk = new FailingDisk(at, 'full');
      await using run = await RunFolder.open(path, options, disk);
      const outcome = await run.save(checkpoint(6)).then(
        () => null,
        (error: unknown) => error,
      );
      calls = Math.min(calls, outcome === null && disk.calls <= at ? at : Infinity);
      if (outcome !== null) {
        ++failures;
        expect(outcome).toMatchObject({ code: 'ERR_DPM_FILE', message: expect.stringMatching(/ENOSPC/) as string });
      }
      expect(unfinished(path)).toEqual([]);
      expect(checkpointsOf(path)).toContain('step-4');
      expect(modelsOf(path)).toContain(await modelOf(path));
      // It can be tried again once there is room.
      disk.heal();
      await run.save(checkpoint(6));
      expect(await modelOf(path)).toBe(biasOf(6));
    }
    expect(failures).toBeGreaterThan(6);
  });

  it.skipIf(process.platform !== 'linux')('is told by what the system says', async () => {
    const path = fresh();
    await trained(path, 1);
    // A file may have no more than some blocks: writing fails as on a full disk, in the middle of a file.
    const script = `
      const { writeAtomically } = await import(${JSON.stringify(packagePath('dist/files/files.js'))});
      try { await writeAtomically(process.argv[1], [new Uint8Array(1 << 20), new Uint8Array(1 << 20)]); } catch (error) { console.log(error.code, error.message); }`;
    const target = join(path, 'large');
    const command = `ulimit -f 1024; exec ${process.execPath} --input-type=module -e "$SCRIPT" ${target}`;
    const { stdout } = spawnSync('bash', ['-c', command], {
      env: { ...process.env, SCRIPT: script },
      encoding: 'utf8',
    });
    expect(stdout).toMatch(/^ERR_DPM_FILE cannot write .*EFBIG/);
    expect(unfinished(path)).toEqual([]);
  });
});

describe('the lock of a folder', () => {
  it('keeps a second run out, of this process too', async () => {
    const path = fresh();
    await using run = await RunFolder.open(path, options);
    const error = await failure(RunFolder.open(path, options));
    expect(error.code).toBe('ERR_DPM_FILE');
    expect(error.message).toBe(`${join(path, '.lock')}: process ${process.pid} trains there`);
    await run.close();
    await (await RunFolder.open(path, options)).close();
    expect(existsSync(join(path, '.lock'))).toBe(false);
  });

  const lock = (path: string, fields: Record<string, unknown>): void => {
    mkdirSync(path, { recursive: true });
    const text = JSON.stringify({ pid: process.pid, host: hostname(), began: '', token: 'a', ...fields });
    writeFileSync(join(path, '.lock'), text);
  };

  it('of a process that is gone is taken over', async () => {
    const path = fresh();
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    lock(path, { pid });
    await using own = await RunLock.take(path);
    expect(JSON.parse(readFileSync(own.path, 'utf8'))).toMatchObject({ pid: process.pid });
    expect(readdirSync(path)).toEqual(['.lock']);
  });

  it.skipIf(process.platform !== 'linux')('of a process whose number another one has is taken over', async () => {
    const path = fresh();
    lock(path, { pid: process.pid, began: 'another boot 1' });
    await (await RunLock.take(path)).release();
    expect(readdirSync(path)).toEqual([]);
  });

  it.skipIf(process.platform !== 'linux')('says which process has it, and since when', async () => {
    const path = fresh();
    mkdirSync(path);
    await using own = await RunLock.take(path);
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
    // `starttime`, the 22nd field of proc_pid_stat(5).
    const began = readFileSync('/proc/self/stat', 'latin1').split(') ').at(-1)!.split(' ')[22 - 3];
    const { pid, host } = { pid: process.pid, host: hostname() };
    expect(JSON.parse(readFileSync(own.path, 'utf8'))).toMatchObject({ pid, host, began: `${boot} ${began}` });
  });

  it('of a process that may not be asked is left to it', async () => {
    const path = fresh();
    lock(path, { pid: 4_000_000 });
    const kill = vi.spyOn(process, 'kill').mockImplementation(() => {
      throw Object.assign(new Error('kill EPERM'), { code: 'EPERM' });
    });
    onTestFinished(() => {
      kill.mockRestore();
    });
    expect((await failure(RunLock.take(path))).message).toMatch(/process 4000000 trains there/);
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ['another machine', { host: 'elsewhere', pid: 1 }, /process 1 on elsewhere trains there; remove the file/],
    ['another machine, whose processes are not those here', { host: 'elsewhere', pid: 4_000_000 }, /on elsewhere/],
    ['a process of another user', { pid: 1 }, /process 1 trains there/],
    ['nobody', { pid: 0 }, /does not say who trains there; remove it/],
    ['text for a number', { pid: '7' }, /does not say who/],
  ])('of %s is left to it', async (_, fields, message) => {
    const path = fresh();
    lock(path, fields);
    const before = readFileSync(join(path, '.lock'), 'utf8');
    expect((await failure(RunLock.take(path))).message).toMatch(message);
    expect(readFileSync(join(path, '.lock'), 'utf8')).toBe(before);
    expect(readdirSync(path)).toEqual(['.lock']);
  });

  it('that is no JSON is somebody’s', async () => {
    const path = fresh();
    mkdirSync(path);
    writeFileSync(join(path, '.lock'), '\0\0');
    expect((await failure(RunLock.take(path))).message).toMatch(/is not JSON.*remove it if no run trains there/);
  });

  it('has one holder of many that take a stale one over', async () => {
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    for (let round = 0; round < 20; ++round) {
      const path = fresh();
      lock(path, { pid });
      const taken = await Promise.allSettled(Array.from({ length: 8 }, () => RunLock.take(path)));
      expect(taken.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    }
  });

  it('is released by its holder alone', async () => {
    const path = fresh();
    mkdirSync(path);
    const own = await RunLock.take(path);
    lock(path, { token: 'other' });
    await own.release();
    expect(existsSync(join(path, '.lock'))).toBe(true);
  });
});
