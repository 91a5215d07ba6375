import { usageError, type Call, type Command, type CommandGroup, type OptionSpecs } from './command.js';
import { printJson, printLine, printTable } from './output.js';
import { serverPackage, type JobPlace, type JobView } from './server-package.js';

const options: OptionSpecs = {
  spool: { value: 'DIR', help: 'where the jobs are: a folder' },
  queue: { value: 'URL', help: 'or redis://...' },
};

function placeOf({ options: given }: Call): JobPlace {
  return { spool: given.string('spool'), queue: given.string('queue') };
}

function printJob(job: JobView, isJson: boolean): void {
  if (isJson) {
    printJson(job);
    return;
  }
  const fields = Object.entries(job).filter(([name]) => name !== 'failedChunks' && name !== 'object');
  printTable(fields.map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]));
  for (const { chunk, code, message } of job.failedChunks) printLine(`chunk ${chunk} failed: ${message} [${code}]`);
}

async function list(call: Call): Promise<void> {
  const jobs = await (await serverPackage()).listJobs(placeOf(call));
  if (call.json) printJson(jobs);
  else if (jobs.length === 0) printLine('there are no jobs');
  else {
    const rows = jobs.map(({ id, state, done, total, model, sampler, createdAt }) => [
      id,
      state,
      `${done}/${total}`,
      model,
      sampler,
      createdAt,
    ]);
    printTable([['id', 'state', 'samples', 'model', 'sampler', 'since'], ...rows]);
  }
}

function idOf({ positionals: [id] }: Call): string {
  if (id === undefined) throw usageError('it takes the id of a job');
  return id;
}

async function show(call: Call): Promise<void> {
  const id = idOf(call);
  const jobs = await (await serverPackage()).listJobs(placeOf(call));
  const job = jobs.find((each) => each.id === id);
  if (job === undefined) throw usageError(`there is no job ${id}`);
  printJob(job, call.json);
}

function changing(action: 'retry' | 'cancel', summary: string): Command {
  return {
    name: `jobs ${action}`,
    summary,
    arguments: ['ID'],
    options,
    async run(call) {
      printJob(await (await serverPackage()).changeJob(placeOf(call), idOf(call), action), call.json);
    },
  };
}

async function purge(call: Call): Promise<void> {
  const purged = await (await serverPackage()).purgeJobs(placeOf(call));
  if (call.json) printJson({ purged });
  else printLine(`${purged} jobs are forgotten`);
}

export const jobsCommands: CommandGroup = {
  name: 'jobs',
  summary: 'Looks at jobs of a spool or a queue, and changes them. Needs the package dpm-native-server.',
  commands: {
    list: { name: 'jobs list', summary: 'All jobs, the newest first.', arguments: [], options, run: list },
    show: { name: 'jobs show', summary: 'All there is to say of a job.', arguments: ['ID'], options, run: show },
    retry: changing('retry', "Draws again what has failed. The spool of a server that runs is that server's."),
    cancel: changing('cancel', 'Ends a job.'),
    purge: { name: 'jobs purge', summary: 'Forgets the jobs that are over.', arguments: [], options, run: purge },
  },
};
