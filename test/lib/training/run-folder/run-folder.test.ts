// The folder of a run: begun, gone on with, with damaged checkpoints.
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { ho } from '../../../../lib/checkpoint/families/ho.js';
import { readModelFolder } from '../../../../lib/checkpoint/read-model.js';
import { initialWeights } from '../../../../lib/training/initial-weights.js';
import { readLosses } from '../../../../lib/training/metrics.js';
import { sourcesOf } from '../../../../lib/engine/checkpoint-tensors.js';
import { trainingParts } from '../../../../lib/training/run-folder/checkpoint-files.js';
import { filesOfNetwork } from '../../../../lib/training/run-folder/model-files.js';
import { RunFolder } from '../../../../lib/training/run-folder/run-folder.js';
import { failure } from '../../../support/failure.js';
import {
  fresh,
  config,
  network,
  options,
  tensorsOf,
  checkpoint,
  digest,
  metrics,
  trained,
  checkpointsOf,
  modelOf,
  biasOf,
  initial,
} from '../../../support/trained-folder.js';

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
