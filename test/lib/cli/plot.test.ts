import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { decode } from 'fast-png';
import { beforeAll, describe, expect, it } from 'vitest';

import { parseCall } from '../../../lib/cli/parser.js';
import { lineChart } from '../../../lib/cli/plot/chart.js';
import { elboChart, parseElbo, plotElboCommand } from '../../../lib/cli/plot/elbo.js';
import { gammaSeries, requiredGamma } from '../../../lib/cli/plot/gamma.js';
import { parseQualityResults, qualityChart } from '../../../lib/cli/plot/quality.js';
import { plotStripCommand, stripRecords } from '../../../lib/cli/plot/strip.js';
import { varianceSeries } from '../../../lib/cli/plot/variance.js';
import { estimateLikelihood, type LikelihoodOptions } from '../../../lib/estimation/likelihood/estimate.js';
import { writeSafetensors } from '../../../lib/files/tensor-data.js';
import { DiffusionModel } from '../../../lib/model.js';
import { samplers } from '../../../lib/samplers/index.js';
import { jump } from '../../../lib/schedule/jump.js';
import { NoiseSchedule } from '../../../lib/schedule/noise-schedule.js';
import { fixedVarianceCosts, type FixedVariance } from '../../../lib/variance/costs.js';
import { writeErrorTable, type ErrorTable } from '../../../lib/variance/error-table.js';
import type { GammaTable } from '../../../lib/variance/gamma.js';
import { analyticVariance, analyticVarianceBounds } from '../../../lib/variance/reverse-variance.js';
import { inModelSpace, strokes } from '../../support/digits.js';
import { dpm } from '../../support/dpm.js';
import { packagePath, temporaryFolder } from '../../support/temporary.js';
import { group, parseXml, texts, type XmlElement } from '../../support/xml.js';

const folder = temporaryFolder();
const mnist = packagePath('models/mnist');
const linear = NoiseSchedule.linear();

describe('charts of variances', () => {
  const gamma: GammaTable = {
    schedule: 'linear',
    numTrainTimesteps: 1000,
    imagesPerStep: 1,
    m: Float64Array.from(
      { length: 1001 },
      (_, n) => linear.betaBar(n) / (linear.alphaBar(n) * 0.25 + linear.betaBar(n)),
    ),
  };

  it.each(['analytic-ddpm', 'analytic-ddim'] as const)('have the numbers of the library: %s', (sampler) => {
    const series = varianceSeries(linear, { gamma, steps: 10, sampler, quantity: 'variance' });
    const program = samplers[sampler](linear, { gamma, steps: 10, lastNoiseClip: null });
    const values = new Map(series.map(({ label, points }) => [label, points]));
    expect([...values.keys()]).toEqual([sampler, 'beta', 'beta-tilde', 'upper bound', 'lower bound']);
    program.records.slice(0, -1).forEach(({ variance }, i) => {
      const [t, value] = values.get(sampler)![i]!;
      expect(value).toBeCloseTo(variance.kind === 'scalar' ? variance.deviation ** 2 : NaN, 14);
      const s = i === 8 ? 1 : values.get(sampler)![i + 1]![0];
      const step = jump(linear, { s, t }, sampler === 'analytic-ddpm' ? 1 : 0);
      expect(value).toBe(analyticVariance(step, gamma.m[t]!));
      expect(values.get('beta')![i]).toEqual([t, linear.betaBarBetween(s, t)]);
      expect(values.get('beta-tilde')![i]![1]).toBeCloseTo(linear.posteriorVariance(s, t), 14);
      expect(values.get('upper bound')![i]![1]).toBe(analyticVarianceBounds(step).high);
      expect(values.get('lower bound')![i]![1]).toBe(analyticVarianceBounds(step).low);
    });
    expect(program.records).toHaveLength(10);
    const deviations = varianceSeries(linear, { gamma, steps: 10, sampler });
    expect(deviations[0]!.points[3]![1]).toBe(Math.sqrt(series[0]!.points[3]![1]));
  });

  it("of gamma are those of the table that is given, else the model's", () => {
    const other = { ...gamma, imagesPerStep: 1 };
    const model = { schedule: linear, gamma } as unknown as DiffusionModel;
    expect(requiredGamma(model, other)).toBe(other);
    expect(requiredGamma(model, null)).toBe(gamma);
  });

  it('need a jump', () => {
    expect(() => varianceSeries(linear, { gamma, steps: 1 })).toThrow(/no jump between noisy states/);
    expect(varianceSeries(linear, { gamma, steps: 5, trajectory: 'optimal' })[0]!.points).toHaveLength(4);
  });

  it('of gamma have Gamma where the schedule is known', () => {
    const [scores, moments] = gammaSeries(gamma, linear);
    expect(moments!.points[0]).toEqual([1, gamma.m[1]]);
    expect(moments!.points).toHaveLength(1000);
    expect(scores!.points[499]).toEqual([500, gamma.m[500]! / linear.betaBar(500)]);
    expect(gammaSeries(gamma, null)).toEqual([moments]);
  });

  it('have entry n of the table at t = n / N of a continuous schedule', () => {
    const vp = NoiseSchedule.vp();
    const table = { ...gamma, schedule: 'vp', m: new Float64Array(1001).fill(0.5) };
    const [scores] = gammaSeries(table, vp);
    expect(scores!.points[0]).toEqual([1, 0.5 / vp.betaBar(1 / 1000)]);
    expect(scores!.points[999]).toEqual([1000, 0.5 / vp.betaBar(1)]);

    const series = varianceSeries(vp, { gamma: table, steps: 10, quantity: 'variance' });
    const program = samplers['analytic-ddpm'](vp, { gamma: table, steps: 10, lastNoiseClip: null });
    expect(series[0]!.points).toHaveLength(9);
    series[0]!.points.forEach(([, value], i) => {
      const { variance } = program.records[i]!;
      expect(value).toBeCloseTo(variance.kind === 'scalar' ? variance.deviation ** 2 : NaN, 14);
    });
  });

  it.each([NoiseSchedule.ve(), NoiseSchedule.edm()])('are refused on a schedule of noise alone: $name', (schedule) => {
    const table = { ...gamma, schedule: schedule.name };
    const refused: unknown = expect.objectContaining({
      code: 'ERR_DPM_UNSUPPORTED',
      message: expect.stringContaining(`'${schedule.name}'`) as string,
    });
    expect(() => gammaSeries(table, schedule)).toThrow(refused);
    expect(() => varianceSeries(schedule, { gamma: table, steps: 10 })).toThrow(refused);
  });
});

const cell = { row: 'ddim', label: 'DDIM & co', sampler: 'ddim', options: {}, steps: 10, samples: 100, seed: 0 };
const results = {
  floor: 8.465,
  cells: [
    { ...cell, frechet: 47.3, evaluations: 10, seconds: 1 },
    { ...cell, steps: 5, frechet: 185.1, evaluations: 5, seconds: 1 },
    { ...cell, row: 'unipc', label: 'UniPC', sampler: 'unipc', frechet: 37, evaluations: 10, seconds: 1 },
  ],
};

describe('charts of quality', () => {
  it('have a line for every row and the floor', () => {
    const parsed = parseQualityResults(results, 'results.json');
    expect(parsed.rows[0]).toEqual({
      label: 'DDIM & co',
      family: 'without noise',
      points: [
        [5, 185.1],
        [10, 47.3],
      ],
    });
    const { series, x, y } = qualityChart(parsed);
    expect(series.map(({ family }) => family)).toEqual(['without noise', 'solver', undefined]);
    expect(series.map(({ label }) => label)).toEqual(['DDIM & co', 'UniPC', 'floor: real images']);
    expect(series[2]).toMatchObject({
      dashed: true,
      points: [
        [5, 8.465],
        [10, 8.465],
      ],
    });
    expect([x.scale, y.scale, x.ticks]).toEqual(['log', 'log', [5, 10]]);
    const single = { ...results, cells: results.cells.slice(2) };
    expect(group(parseXml(lineChart(qualityChart(parseQualityResults(single, '')))), 'series')).toHaveLength(2);
  });

  it.each([
    [null, /results\.json: results are a JSON object/],
    [{ ...results, floor: '8' }, /results\.json: floor is "8"/],
    [{ ...results, cells: {} }, /results\.json: cells is \{\}/],
    [{ ...results, cells: [] }, /cells is \[\]/],
    [{ ...results, cells: [7] }, /cells\[0\] has to be an object/],
    [{ ...results, cells: [{ ...cell, frechet: null }] }, /cells\[0\]: frechet is null/],
    [{ ...results, cells: [{ ...cell, frechet: -1 }] }, /cells\[0\]: frechet is -1/],
    [{ ...results, cells: [{ ...cell, frechet: 1, steps: 0 }] }, /cells\[0\]: steps is 0/],
    [{ ...results, cells: [{ ...cell, frechet: 1, label: 3 }] }, /cells\[0\]: label is 3/],
    [{ ...results, cells: [{ frechet: 1 }] }, /cells\[0\]: row is missing/],
  ])('refuse %j', (value, message) => {
    expect(() => parseQualityResults(value, 'results.json')).toThrow(message);
    expect(() => parseQualityResults(value, 'results.json')).toThrow(
      expect.objectContaining({ code: 'ERR_DPM_CONFIG' }),
    );
  });
});

describe('kinds of samplers in charts of quality', () => {
  it.each([
    ['analytic-ddim', 'optimal variance'],
    ['ocm-ddpm', 'variance of a head'],
    ['ddpm', 'fixed variance'],
    ['ancestral', 'fixed variance'],
    ['predictor-corrector', 'reverse SDE'],
    ['probability-flow', 'without noise'],
    ['dpm-solver++-2m', 'solver'],
  ])('%s: %s', (sampler, family) => {
    const cells = [{ ...cell, sampler, frechet: 1 }];
    expect(parseQualityResults({ floor: 1, cells }, '').rows[0]!.family).toBe(family);
  });
});

describe('charts of bounds', () => {
  const bound = { sampler: 'ddpm', kl: [{ s: 1, t: 9, bits: 0.5 }], total: { bits: 3.25 } };

  it('have a line for every sampler, with its total', () => {
    const lines = [parseElbo(bound, 'a.json'), parseElbo({ ...bound, total: { bits: null } }, 'b.json')];
    const { series } = elboChart(lines);
    expect(series.map(({ label }) => label)).toEqual(['ddpm: 3.250 bits/dim', 'ddpm: infinite bits/dim']);
    expect(series[0]!.points).toEqual([[9, 0.5]]);
  });

  it.each([
    [[], /a\.json has to be a JSON object/],
    [{ ...bound, kl: 1 }, /a\.json: kl is 1/],
    [{ ...bound, kl: [null] }, /kl\[0\] has to be/],
    [{ ...bound, kl: [{ t: 0.5, bits: 1 }] }, /kl\[0\]: t is 0\.5/],
    [{ ...bound, kl: [{ t: 5, bits: 'x' }] }, /kl\[0\]: bits is "x"/],
    [{ ...bound, kl: [{ t: 5 }] }, /kl\[0\]: bits is missing/],
    [{ ...bound, total: 3 }, /total has to be/],
    [{ ...bound, total: {} }, /total: bits is missing/],
    [{ ...bound, sampler: undefined }, /sampler is missing/],
  ])('refuse %j', (value, message) => {
    expect(() => parseElbo(value, 'a.json')).toThrow(message);
    expect(() => parseElbo(value, 'a.json')).toThrow(expect.objectContaining({ code: 'ERR_DPM_CONFIG' }));
  });
});

describe('records of a strip', () => {
  it('go from the noise to the last record', () => {
    expect(stripRecords(25, 6)).toEqual([0, 5, 10, 15, 20, 25]);
    expect(stripRecords(3, 4)).toEqual([0, 1, 2, 3]);
    expect(() => stripRecords(3, 5)).toThrow(/--columns is 5, it has to be from 2 to 4/);
    expect(() => stripRecords(3, 1)).toThrow(/--columns is 1/);
  });
});

describe('dpm plot', () => {
  const out = (name: string): string => join(folder, name);
  const data = out('images.safetensors');
  beforeAll(async () => {
    await writeSafetensors(data, { images: { shape: [3, 1, 28, 28], data: inModelSpace(strokes(3)) } });
  });
  const drawn = (path: string): XmlElement => parseXml(readFileSync(path, 'utf8'));
  const cpu = ['--device', 'cpu'];

  it('explains itself', async () => {
    const help = await dpm('plot', '--help');
    expect(help.code).toBe(0);
    for (const kind of ['variance', 'gamma', 'quality', 'strip', 'elbo']) {
      expect(help.stdout).toMatch(new RegExp(`^  ${kind} `, 'm'));
      const own = await dpm('plot', kind, '--help');
      expect(own.code).toBe(0);
      expect(own.stdout).toMatch(new RegExp(`^Usage: dpm plot ${kind} `));
    }
    expect((await dpm('--help')).stdout).toMatch(/ {2}plot .*\n/);
  });

  it('variance', async () => {
    const path = out('variance.svg');
    const run = await dpm('plot', 'variance', mnist, ...cpu, '--steps', '10', '--out', path, '--json');
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(run.stdout)).toEqual({ out: path });
    expect(group(drawn(path), 'series')).toHaveLength(5);
    const args = ['--sampler', 'analytic-ddim', '--quantity', 'variance', '--trajectory', 'quadratic'];
    const gamma = join(mnist, 'gamma.json');
    expect((await dpm('plot', 'variance', mnist, ...cpu, ...args, '--gamma', gamma, '--out', path)).code).toBe(0);
    expect(texts(drawn(path))).toContain('Reverse variances, 50 steps');
  });

  it('gamma, with and without a model', async () => {
    const path = out('gamma.svg');
    expect((await dpm('plot', 'gamma', mnist, ...cpu, '--out', path)).code).toBe(0);
    expect(group(drawn(path), 'series')).toHaveLength(2);
    expect((await dpm('plot', 'gamma', '--gamma', join(mnist, 'gamma.json'), '--out', path)).code).toBe(0);
    expect(group(drawn(path), 'series')).toHaveLength(1);
  });

  it('quality', async () => {
    const [source, path] = [out('results.json'), out('quality.svg')];
    writeFileSync(source, JSON.stringify(results));
    expect(await dpm('plot', 'quality', source, '--out', path)).toEqual({ code: 0, stdout: `${path}\n`, stderr: '' });
    expect(group(drawn(path), 'series')).toHaveLength(3);
    expect(texts(drawn(path))).toContain('DDIM & co');
  });

  it('strip, whose last column is what dpm sample draws', async () => {
    const [path, sampled] = [out('strip.png'), out('sampled.png')];
    const sampling = ['--sampler', 'analytic-ddpm', '--steps', '5', '--seed', '7', '--count', '2'];
    const plain = ['--scale', '1'];
    const strip = await dpm('plot', 'strip', mnist, ...cpu, ...sampling, ...plain, '--columns', '4', '--out', path);
    expect(strip).toMatchObject({ code: 0, stderr: '' });
    const picture = decode(readFileSync(path));
    expect(picture).toMatchObject({ width: 4 * 30 - 2, height: 2 * 30 - 2, channels: 1 });
    expect((await dpm('sample', mnist, ...cpu, ...sampling, ...plain, '--out', sampled)).code).toBe(0);
    const grid = decode(readFileSync(sampled));
    const row = (from: typeof grid, y: number, left: number): number[] =>
      Array.from({ length: 28 }, (_, x) => from.data[y * from.width + left + x]!);
    for (let y = 0; y < 28; ++y) expect(row(picture, y, 90)).toEqual(row(grid, y, 0));
    expect(row(picture, 14, 0)).not.toEqual(row(picture, 14, 90));
  });

  it('elbo, of a model and of saved bounds', async () => {
    const path = out('elbo.svg');
    const bound = ['--data', data, '--steps', '4', '--samples', '2'];
    const names = 'ancestral,ddpm:beta-tilde,analytic-ddpm,npr-ddpm';
    const run = await dpm('plot', 'elbo', mnist, ...cpu, ...bound, '--sampler', names, '--out', path);
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(group(drawn(path), 'series')).toHaveLength(4);
    const saved = out('nll.json');
    writeFileSync(saved, (await dpm('nll', mnist, ...cpu, ...bound, '--sampler', 'sn-ddpm', '--json')).stdout);
    expect((await dpm('plot', 'elbo', '--from', `${saved},${saved}`, '--out', path)).code).toBe(0);
    expect(group(drawn(path), 'series')).toHaveLength(2);
    expect(texts(drawn(path)).filter((text) => text.startsWith('sn-ddpm: '))).toHaveLength(2);
  });

  it('elbo, every line with the costs of its own variance', async () => {
    const [costs, path] = [out('costs.json'), out('costly.svg')];
    await using model = await DiffusionModel.load(mnist, { device: 'cpu' });
    const { schedule } = model;
    const entries = (value: (n: number) => number): Float64Array =>
      Float64Array.from({ length: schedule.steps + 1 }, (_, n) => (n === 0 ? 0 : value(n)));
    const table: ErrorTable = {
      schedule: schedule.name,
      numTrainTimesteps: schedule.steps,
      imagesPerStep: 1,
      squaredError: entries((n) => 0.2 * schedule.betaBar(n)),
      decoder: entries((n) => 2 + n / 100),
    };
    await writeErrorTable(costs, table);
    const settings = { steps: 4, samples: 2, trajectory: 'optimal' } as const;
    const images = inModelSpace(strokes(3));
    const total = async (
      sampler: Pick<LikelihoodOptions, 'sampler' | 'variance'>,
      variance: FixedVariance,
    ): Promise<string> => {
      const chosen = fixedVarianceCosts(schedule, table, variance);
      return (
        await estimateLikelihood(model, images, { ...settings, ...sampler, costs: chosen })
      ).total.bits.toPrecision(4);
    };
    const ancestral = await total({ sampler: 'ancestral' }, 'beta');
    expect(await total({ sampler: 'ancestral' }, 'beta-tilde')).not.toBe(ancestral);
    const beta = await total({ sampler: 'ddpm', variance: 'beta' }, 'beta');
    const betaTilde = await total({ sampler: 'ddpm', variance: 'beta-tilde' }, 'beta-tilde');

    const bound = ['--data', data, '--steps', '4', '--samples', '2', '--trajectory', 'optimal', '--costs', costs];
    const args = [mnist, ...cpu, ...bound, '--sampler', 'ancestral,ddpm:beta,ddpm:beta-tilde', '--out', path];
    await plotElboCommand.run(parseCall(plotElboCommand, args, new AbortController().signal)!);
    expect(texts(drawn(path))).toEqual(
      expect.arrayContaining([
        `ancestral: ${ancestral} bits/dim`,
        `ddpm:beta: ${beta} bits/dim`,
        `ddpm:beta-tilde: ${betaTilde} bits/dim`,
      ]),
    );
  });

  const strip = (name: string, ...args: string[]): Promise<void> =>
    plotStripCommand.run(
      parseCall(plotStripCommand, [mnist, ...cpu, '--count', '1', ...args, '--out', name], AbortSignal.any([]))!,
    );

  it('strip, of as many states as the program has records', async () => {
    const path = out('records.png');
    // A solver with 3 evaluations a step leaves 2 of 5 out.
    const solver = ['--sampler', 'dpm-solver-3', '--steps', '5'];
    await strip(path, ...solver, '--columns', '4');
    expect(decode(readFileSync(path)).width).toBe(4 * 114 - 2);
    await expect(strip(path, ...solver, '--columns', '6')).rejects.toThrow(/from 2 to 4, the states of 3 records/);
  });

  it.each([
    ['dpm-solver-adaptive', []],
    ['predictor-corrector', []],
    ['probability-flow', ['--solver', 'rk45']],
    ['npr-ddpm', ['--avg-cov']],
    ['sn-ddim', ['--avg-cov', '--steps', '4']],
  ])('strip refuses %s %j, which has no records', async (sampler, args) => {
    await expect(strip(out('host.png'), '--sampler', sampler, ...args)).rejects.toMatchObject({
      code: 'ERR_DPM_USAGE',
      message: expect.stringMatching(`^sampler ${sampler} decides its steps while it runs`) as string,
    });
    expect(existsSync(out('host.png'))).toBe(false);
  });

  it.each<[string[], number, RegExp]>([
    [[], 2, /dpm plot takes one of variance, gamma/],
    [['pie'], 2, /'pie' is not something to plot/],
    [['constructor'], 2, /'constructor' is not something to plot/],
    [['quality'], 2, /dpm plot quality takes RESULTS\.json/],
    [['quality', 'no.json', '--out', 'x.png'], 2, /--out x\.png has to be a \.svg file/],
    [['quality', 'no.json', '--out', 'x.svg'], 1, /\[ERR_DPM_FILE\].*no\.json/],
    [['strip', mnist, '--out', 'x.svg'], 2, /--out x\.svg has to be a \.png file/],
    [['strip', mnist, '--out', 'x.png', '--columns', '40', ...cpu], 2, /--columns is 40/],
    [['strip', mnist, '--out', 'x.png', '--count', '0', ...cpu], 2, /count is 0/],
    [['variance', mnist, '--out', 'x.svg', '--sampler', 'ddim'], 2, /--sampler is 'ddim'/],
    [['gamma', '--out', 'x.svg'], 2, /give MODEL, --gamma or both/],
    [['elbo', '--out', 'x.svg'], 2, /either MODEL or --from/],
    [['elbo', mnist, '--out', 'x.svg', '--from', 'a.json'], 2, /either MODEL or --from/],
    [['elbo', mnist, '--out', 'x.svg', '--steps', '3'], 2, /--data is missing/],
    [['elbo', mnist, '--out', 'x.svg', '--steps', '3', '--data', 'd', '--sampler', 'ddim'], 2, /infinite/],
    [['elbo', mnist, '--out', 'x.svg', '--steps', '3', '--data', 'd', '--sampler', 'ddpm:x'], 2, /only ddpm has/],
  ])('%j is refused', async (args, code, message) => {
    const outcome = await dpm('plot', ...args);
    expect(outcome.stderr).toMatch(message);
    expect(outcome.code).toBe(code);
    expect(existsSync('x.svg') || existsSync('x.png')).toBe(false);
  });
});
