import type { Command, CommandGroup } from './command.js';
import { serverCommand, serverSummaries, type ServerCommandName } from './server-commands.js';

type Load = () => Promise<Command | CommandGroup>;

/** Commands by headings of the help text; loaded when called, so that none waits for what another one needs. */
const ownCommands: Readonly<Record<string, Readonly<Record<string, Load>>>> = {
  Draw: {
    sample: async () => (await import('./sample.js')).sampleCommand,
    generate: async () => (await import('./generate.js')).generateCommand,
    translate: async () => (await import('./translate.js')).translateCommand,
    samplers: async () => (await import('./samplers.js')).samplersCommand,
  },
  'Look at models': {
    devices: async () => (await import('./devices.js')).devicesCommand,
    inspect: async () => (await import('./inspect.js')).inspectCommand,
    graph: async () => (await import('./graph.js')).graphCommand,
    tokens: async () => (await import('./tokens.js')).tokensCommand,
    forward: async () => (await import('./forward.js')).forwardCommand,
    gradient: async () => (await import('./gradient.js')).gradientCommand,
    convert: async () => (await import('./convert.js')).convertCommand,
  },
  'Train and estimate': {
    train: async () => (await import('./train.js')).trainCommand,
    gamma: async () => (await import('./gamma.js')).gammaCommand,
    costs: async () => (await import('./costs.js')).costsCommand,
  },
  Measure: {
    classify: async () => (await import('./classify.js')).classifyCommand,
    nll: async () => (await import('./nll.js')).nllCommand,
    plot: async () => (await import('./plot.js')).plotCommands,
    bench: async () => (await import('./bench.js')).benchCommand,
  },
};

/** Commands by their name. */
export const commands: Readonly<Record<string, Load>> = {
  ...Object.fromEntries(Object.values(ownCommands).flatMap((each) => Object.entries(each))),
  ...Object.fromEntries(
    (Object.keys(serverSummaries) as ServerCommandName[]).map((name) => [name, () => serverCommand(name)]),
  ),
};

/** A command as lists show it. */
export interface ListedCommand {
  readonly heading: string;
  readonly name: string;
  readonly summary: string;
}

/** Lists all commands, those of the server's package even where it is missing. */
export async function listCommands(): Promise<ListedCommand[]> {
  const own = Object.entries(ownCommands).flatMap(([heading, loads]) =>
    Object.entries(loads).map(async ([name, load]) => ({ heading, name, summary: (await load()).summary })),
  );
  const served = Object.entries(serverSummaries).map(([name, summary]) => ({ heading: 'Serve', name, summary }));
  return [...(await Promise.all(own)), ...served];
}
