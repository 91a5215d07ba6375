import { samplerByName, samplerNames } from '../samplers/index.js';
import type { SamplerFacts } from '../samplers/sampler.js';
import { flagOf, type Command } from './command.js';
import { printJson, printLine, printTable } from './output.js';

/** A sampler as it is printed. */
interface PrintedSampler {
  name: string;
  summary: string;
  fewestSteps: number | null;
  head: string | null;
  gamma: boolean;
  options: { name: string; flag: string; value: string | null; help: string }[];
}

function printed({ name, summary, fewestSteps, head, needsGamma, options }: SamplerFacts): PrintedSampler {
  return {
    name,
    summary,
    fewestSteps: fewestSteps ?? null,
    head,
    gamma: needsGamma,
    options: Object.entries(options).map(([option, { value = null, help }]) => ({
      name: option,
      flag: `--${flagOf(option)}`,
      value,
      help,
    })),
  };
}

/** Says what a model has to bring for the sampler. */
function needs({ head, gamma }: PrintedSampler): string[] {
  if (head !== null) return [`needs a variance head: ${head}`];
  return gamma ? ['needs the table of second moments gamma.json (dpm gamma)'] : [];
}

export const samplersCommand: Command = {
  name: 'samplers',
  summary: 'Lists the samplers; of one of them also what it needs and its options.',
  arguments: ['[NAME]'],
  options: {},
  run({ positionals: [name], json }) {
    if (name === undefined) {
      const all = samplerNames.map((each) => printed(samplerByName(each).facts));
      if (json) printJson(all);
      else printTable(all.map((each) => [each.name, each.summary]));
      return Promise.resolve();
    }
    const one = printed(samplerByName(name).facts);
    if (json) {
      printJson(one);
      return Promise.resolve();
    }
    for (const line of [`${one.name}: ${one.summary}`, ...needs(one), '']) printLine(line);
    printTable(one.options.map(({ flag, value, help }) => [`  ${flag}${value === null ? '' : ` ${value}`}`, help]));
    return Promise.resolve();
  },
};
