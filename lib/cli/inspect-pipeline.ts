import { untilAborted } from '../base/abort.js';
import type { OptionFact } from '../base/option-facts.js';
import { checkOptions, kinds } from '../base/option-kinds.js';
import {
  closePipeline,
  keptParts,
  loadPipeline,
  pipelineLoadKinds,
  type LoadedPipeline,
} from '../latents/load-pipeline.js';
import { pipelineFacts, type PipelineFacts } from '../latents/pipeline-facts.js';
import { pipelineMemory, type PipelineMemory } from '../latents/pipeline-memory.js';
import { type Call } from './command.js';
import { usageError } from './usage-error.js';
import { formatBytes, printJson, printTable } from './output.js';
import { pipelineLoadOptions, refuseOptionsOfPixels, sizeOf } from './pipeline-options.js';
import { schedulerLine, schedulerOf } from './scheduler-summary.js';

const millions = (count: number): string => `${(count / 1e6).toFixed(3)} M parameters`;
const billions = (count: number): string => `${(count / 1e9).toFixed(3)} G`;

/** Rows of the parts of a pipeline. */
function partRows({ unet, vae, textEncoders, tokenizers }: PipelineFacts): [string, string][] {
  const sees = [
    `a context of ${unet.contextWidth}`,
    ...(unet.seesPooled ? ['pooled states'] : []),
    ...(unet.seesGuidance ? ['the weight of guidance'] : []),
  ].join(', ');
  const numbered = (name: string, k: number): string => (k === 0 ? name : `${name} ${k + 1}`);
  return [
    [
      'unet',
      `${unet.inChannels} -> ${unet.outChannels} channels, levels of ${unet.channels.join(', ')}, sample size ${unet.sampleSize}, sees ${sees}, ${millions(unet.parameters)}${unet.heads.length === 0 ? '' : `, heads ${unet.heads.join(', ')}`}`,
    ],
    [
      'vae',
      `${vae.kind}, ${vae.imageChannels} channels, ${vae.latentChannels} of latents, factor ${vae.factor}, scale ${vae.scale}, ${millions(vae.parameters)}`,
    ],
    ...textEncoders.map(({ width, layers, heads, tokens, projection, parameters }, k): [string, string] => [
      numbered('text encoder', k),
      `width ${width}, ${layers} layers, ${heads} heads, ${tokens} tokens, ${projection === null ? '' : `projection to ${projection}, `}${millions(parameters)}`,
    ]),
    ...tokenizers.map(({ tokens, vocabulary }, k): [string, string] => [
      numbered('tokenizer', k),
      `${vocabulary.toLocaleString('en')} tokens, ${tokens} in a text`,
    ]),
  ];
}

/** Rows of what is computed and taken at a size. */
function costRows({ size, unet, vae }: PipelineFacts, count: number, memory: PipelineMemory): [string, string][] {
  const { tile, rows, machine, peak, fits } = memory;
  return [
    ['size', `${size.height} x ${size.width}, ${count} at once`],
    [
      'multiply-adds',
      `U-Net ${billions(unet.multiplyAdds)} per evaluation of one row, decoder ${billions(vae.multiplyAdds)} per image`,
    ],
    ['memory of texts', formatBytes(memory.texts)],
    ['memory of U-Net', `${formatBytes(memory.unet)}, ${rows} ${rows === 1 ? 'row' : 'rows'} at once`],
    ['memory of decoder', `${formatBytes(memory.decoder)}, ${tile === null ? 'whole' : `in tiles of ${tile} latents`}`],
    ...keptParts.map((keep): [string, string] => [
      `peak, keep ${keep}`,
      `${formatBytes(peak[keep])}, ${fits[keep] ? 'fits' : 'does not fit'} into ${formatBytes(machine)}`,
    ]),
  ];
}

/** Fact about the number of images whose memory is told. */
export const imagesAtOnce = {
  kind: kinds.positiveInteger,
  help: 'of a pipeline: number of images at once',
  standard: 1,
  value: 'N',
} as const satisfies OptionFact;

/** Loads the pipeline, calls `use` with it and closes it in any case. */
async function withPipeline(
  { positionals: [path = ''], options, signal }: Call,
  use: (pipeline: LoadedPipeline) => Promise<void>,
): Promise<void> {
  const load = { ...pipelineLoadOptions(options), schedule: options.string('schedule') };
  checkOptions('dpm inspect', load, pipelineLoadKinds);
  const pipeline = await loadPipeline(path, { ...load, signal });
  try {
    await use(pipeline);
  } finally {
    await closePipeline(pipeline);
  }
}

/** Describes a text-to-image pipeline. */
export async function inspectPipeline(call: Call): Promise<void> {
  const { options, json, signal } = call;
  refuseOptionsOfPixels(call);
  const [count, asked] = [options.integer('count') ?? imagesAtOnce.standard, sizeOf(options)];
  if (count < 1) throw usageError(`--count is ${count}, it has to be at least 1`);
  await withPipeline(call, async (pipeline) => {
    const { source, schedule, evidence, networks, vae, defaults } = pipeline;
    const { steps, guidance } = defaults;
    const side = networks.current.unet.sampleSize * vae.factor;
    const size = { height: side, width: side, ...asked };
    const memory = await untilAborted(signal, () => pipelineMemory(pipeline, { ...size, count }));
    const facts = await pipelineFacts(source, size);
    const shown = options.integer('steps') ?? steps;
    const scheduler = schedulerOf(schedule, shown);
    if (json) {
      const { name, steps: all, defaults: conventions } = schedule;
      const told = { schedule: { name, steps: all, ...conventions }, scheduler, defaults: { steps, guidance } };
      printJson({ evidence, ...facts, count, ...told, memory });
      return;
    }
    printTable([
      ['pipeline', evidence],
      ...partRows(facts),
      ['schedule', `${schedule.name}, ${schedule.steps} steps, predicts ${schedule.defaults.prediction}`],
      ['scheduler', schedulerLine(scheduler, shown)],
      ['defaults', `${steps} steps, guidance ${guidance}`],
      ...costRows(facts, count, memory),
    ]);
  });
}
