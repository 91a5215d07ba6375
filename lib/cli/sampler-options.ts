import type { ClipOption, SamplerOptions } from '../samplers/options.js';
import { trajectoryNames } from '../schedule/trajectory.js';
import { readGammaTable } from '../variance/gamma.js';
import { usageError, type OptionSpecs, type OptionValues } from './command.js';

/** The samplers' options on the command line. */
export const samplerOptionSpecs: OptionSpecs = {
  steps: { value: 'K', help: 'number of network evaluations' },
  trajectory: { value: 'NAME', help: `spacing of the times: ${trajectoryNames.join(', ')}` },
  timesteps: { value: 'LIST', help: 'decreasing 0-based times, separated by commas; overrides --steps' },
  't-start': { value: 'T', help: 'noisiest time' },
  't-end': { value: 'T', help: 'cleanest time evaluated' },
  end: { value: 'WHERE', help: 'data (default) or first: the state after the last record' },
  eta: { value: 'X', help: 'noise of DDIM, 0 (default) to 1' },
  clip: { value: 'HOW', help: 'none, static or dynamic:QUANTILE[,FLOOR]; default as the scheduler says' },
  variance: { value: 'KIND', help: 'of ddpm: beta, beta-tilde or learned' },
  gamma: { value: 'FILE', help: "table of the analytic samplers; default the model's gamma.json" },
  'last-noise-clip': { value: 'Y', help: 'grey levels the last noise may change a pixel by, or none' },
  prediction: { value: 'KIND', help: "what the network's output means: epsilon, x0, v, score" },
};

function parseClip(text: string | undefined): ClipOption | undefined {
  if (text === undefined || text === 'none' || text === 'static') return text;
  const match = /^dynamic:([\d.]+)(?:,([\d.]+))?$/.exec(text);
  if (match === null) throw usageError(`--clip is '${text}', it has to be none, static or dynamic:QUANTILE[,FLOOR]`);
  const floor = match[2];
  return { dynamic: Number(match[1]), ...(floor !== undefined && { floor: Number(floor) }) };
}

/** Drops the options that were not given, so that samplers see only what was. */
function given<T extends object>(options: { [K in keyof T]: T[K] | undefined }): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}

/** The library's sampler options from the command line's. */
export async function samplerOptions(options: OptionValues): Promise<SamplerOptions> {
  const gamma = options.string('gamma');
  const lastNoise = options.string('last-noise-clip');
  return given<Required<SamplerOptions>>({
    steps: options.integer('steps'),
    trajectory: options.choice('trajectory', trajectoryNames),
    timesteps: options.numbers('timesteps'),
    tStart: options.number('t-start'),
    tEnd: options.number('t-end'),
    end: options.choice('end', ['data', 'first']),
    eta: options.number('eta'),
    clip: parseClip(options.string('clip')),
    variance: options.choice('variance', ['beta', 'beta-tilde', 'learned']),
    gamma: gamma === undefined ? undefined : await readGammaTable(gamma),
    lastNoiseClip: lastNoise === 'none' ? null : options.number('last-noise-clip'),
    prediction: options.choice('prediction', ['epsilon', 'x0', 'v', 'score']),
  });
}
