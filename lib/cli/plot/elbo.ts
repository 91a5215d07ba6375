import { at } from '../../base/arrays.js';
import { DpmError } from '../../base/errors.js';
import {
  boundOptions,
  estimateLikelihood,
  likelihoodSampler,
  likelihoodSamplerNames,
  type LikelihoodOptions,
  type LikelihoodSampler,
} from '../../estimation/likelihood/estimate.js';
import { ConfigReader, isJsonObject } from '../../files/config-reader.js';
import { readJson } from '../../files/files.js';
import type { DiffusionModel } from '../../model.js';
import type { OptionTable } from '../../samplers/sampler.js';
import { type Call, type Command } from '../command.js';
import { usageError } from '../usage-error.js';
import { readDataImages } from '../data-images.js';
import { modelOptions, withModel } from '../model-options.js';
import { likelihoodOptions, likelihoodOptionSpecs } from '../nll.js';
import { progressBar } from '../output.js';
import type { Chart } from './chart.js';
import { chartTarget, targetPath, writeChart } from './write.js';

/** Values of a bound on the likelihood for the chart; null for an infinite one. */
export interface ElboLine {
  sampler: string;
  kl: readonly { t: number; bits: number | null }[];
  total: number | null;
}

/** A field that is a number, or null for one that JSON does not have. */
function numberOrNull(config: ConfigReader, name: string): number | null {
  return config.raw(name) === null ? null : config.number(name);
}

const mostTerms = 1_000_000;

/**
 * A bound on the likelihood from parsed JSON, as `dpm nll --json` prints it.
 *
 * @throws {@link DpmError} `ERR_DPM_CONFIG` naming `source` and the field.
 */
export function parseElbo(json: unknown, source: string): ElboLine {
  const reader = (value: unknown, where: string): ConfigReader => {
    if (!isJsonObject(value)) throw new DpmError('ERR_DPM_CONFIG', `${where} has to be a JSON object`);
    return new ConfigReader(value, where);
  };
  const config = reader(json, source);
  const kl = config.raw('kl');
  if (!Array.isArray(kl)) throw config.error('kl', 'an array of terms');
  return {
    sampler: config.string('sampler').slice(0, 60),
    kl: kl.map((raw: unknown, i) => {
      const term = reader(raw, `${source}: kl[${i}]`);
      return { t: term.integer('t', undefined, { least: 1, most: mostTerms }), bits: numberOrNull(term, 'bits') };
    }),
    total: numberOrNull(reader(config.raw('total'), `${source}: total`), 'bits'),
  };
}

/** The terms between noisy states against the time they start from, one line a sampler. */
export function elboChart(lines: readonly ElboLine[]): Chart {
  return {
    title: 'Terms of the bound on the likelihood',
    x: { label: 'time n the jump starts from', scale: 'linear' },
    y: { label: 'KL, bits per dimension', scale: 'log' },
    series: lines.map(({ sampler, kl, total }) => ({
      label: `${sampler}: ${total === null ? 'infinite' : total.toPrecision(4)} bits/dim`,
      points: kl.map(({ t, bits }) => [t, bits ?? NaN]),
      markers: kl.length <= 60,
    })),
  };
}

type Settings = Omit<LikelihoodOptions, 'sampler'>;

/** Options that any sampler with a bound takes. */
const samplerTables: OptionTable = likelihoodSamplerNames
  .map(boundOptions)
  .reduce<OptionTable>((all, table) => ({ ...all, ...table }), {});

/** A name of the option `--sampler`. */
interface LineName {
  /** Text `NAME` or `ddpm:VARIANCE`. */
  text: string;
  sampler: LikelihoodSampler;
  variance: LikelihoodOptions['variance'];
}

function parseName(text: string): LineName {
  const [name = '', kind] = text.split(':');
  const sampler = likelihoodSampler(name);
  if (kind !== undefined && (sampler !== 'ddpm' || (kind !== 'beta' && kind !== 'beta-tilde' && kind !== 'learned'))) {
    throw usageError(`--sampler has '${text}', only ddpm has variances: beta, beta-tilde, learned`);
  }
  return { text, sampler, variance: kind };
}

/** Selects the options of a bound that a sampler takes, from those given for all. */
function settingsOf({ sampler, variance }: LineName, settings: Settings): LikelihoodOptions {
  const own = boundOptions(sampler);
  const foreign = Object.keys(samplerTables).filter((name) => !(name in own));
  const taken = Object.entries(settings).filter(([name]) => !foreign.includes(name));
  return { ...Object.fromEntries(taken), sampler, ...(variance !== undefined && { variance }) };
}

async function estimatedLines(call: Call, model: DiffusionModel, names: readonly LineName[]): Promise<ElboLine[]> {
  const images = (await readDataImages(call.options.required('data'), model, { signal: call.signal })).images;
  const settings: LikelihoodOptions[] = [];
  for (const name of names) {
    const { sampler, variance = call.options.string('variance') } = name;
    settings.push(settingsOf(name, await likelihoodOptions(call, model, images, { sampler, variance })));
  }
  const lines: ElboLine[] = [];
  for (const [i, { text }] of names.entries()) {
    const progress = progressBar(text, call.json);
    try {
      const { kl, total } = await estimateLikelihood(model, images, {
        ...at(settings, i),
        onProgress: (done, all) => {
          progress.update(done, all);
        },
      });
      lines.push({ sampler: text, kl, total: total.bits });
    } finally {
      progress.stop();
    }
  }
  return lines;
}

async function readLines(files: string): Promise<ElboLine[]> {
  return Promise.all(files.split(',').map(async (file) => parseElbo(await readJson(file), file)));
}

/** Samplers, unless the command says otherwise. */
const SAMPLERS = 'ancestral,analytic-ddpm';

export const plotElboCommand: Command = {
  name: 'plot elbo',
  summary: 'Terms of the bound on the likelihood by time, of a MODEL and --data or from what dpm nll --json printed.',
  arguments: ['[MODEL]'],
  options: {
    ...chartTarget,
    from: { value: 'FILES', help: 'JSON files of dpm nll --json, separated by commas, instead of MODEL' },
    sampler: {
      value: 'LIST',
      help: `samplers separated by commas: ${likelihoodSamplerNames.join(', ')}, ddpm:VARIANCE; default ${SAMPLERS}`,
    },
    ...likelihoodOptionSpecs,
    ...modelOptions,
  },
  async run(call) {
    const { options, positionals } = call;
    const path = await targetPath(call, 'elbo', '.svg');
    const files = options.string('from');
    if ((files === undefined) === (positionals.length === 0)) throw usageError('give either MODEL or --from');
    if (files !== undefined) {
      await writeChart(call, path, elboChart(await readLines(files)));
      return;
    }
    options.required('data');
    const names = (options.string('sampler') ?? SAMPLERS).split(',').map(parseName);
    await withModel(call, async (model) => {
      await writeChart(call, path, elboChart(await estimatedLines(call, model, names)));
    });
  },
};
