import type { JobPlace } from '../jobs/places/admin.js';
import type { JobView } from '../jobs/view.js';
import type { OptionSpecs } from '../config/option.js';
import { usageError, type Call, type CommandGroup, type GroupedCommand } from './command.js';

const admin = () => import('../jobs/places/admin.js');

const options: OptionSpecs = {
  spool: { value: 'DIR', help: 'where the jobs are: a folder' },
  queue: { value: 'URL', help: 'or redis://...' },
};

/** The options of what looks for samples, too, or removes them. */
const samplesOptions: OptionSpecs = {
  ...options,
  results: { value: 'URL', help: 'where workers of the queue keep samples: file:///folder or s3://bucket/prefix' },
};

function placeOf({ options: given }: Call): JobPlace {
  const [spool, queue] = [given.string('spool'), given.string('queue')];
  return { spool, queue, results: given.string('results') };
}

function printJob(job: JobView, { json: isJson, output }: Call): void {
  if (isJson) {
    output.json(job);
    return;
  }
  const fields = Object.entries(job).filter(([name]) => name !== 'failedChunks' && name !== 'object');
  output.table(fields.map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]));
  for (const { chunk, code, message } of job.failedChunks) output.line(`chunk ${chunk} failed: ${message} [${code}]`);
}

/** The most jobs that a list is asked for; undefined where it is all of them. */
function mostOf({ options: given }: Call): number | undefined {
  const most = given.integer('limit');
  if (most !== undefined && most < 1) throw usageError(`--limit is ${most}, at least 1`);
  return most;
}

async function list(call: Call): Promise<void> {
  const jobs = await (await admin()).listJobs(placeOf(call), mostOf(call));
  if (call.json) call.output.json(jobs);
  else if (jobs.length === 0) call.output.line('there are no jobs');
  else {
    const rows = jobs.map(({ id, state, done, total, model, sampler, createdAt }) => [
      id,
      state,
      `${done}/${total}`,
      model,
      sampler,
      createdAt,
    ]);
    call.output.table([['id', 'state', 'samples', 'model', 'sampler', 'since'], ...rows]);
  }
}

function idOf({ positionals: [id] }: Call): string {
  if (id === undefined) throw usageError('it takes the id of a job');
  return id;
}

async function show(call: Call): Promise<void> {
  const id = idOf(call);
  const job = await (await admin()).findJob(placeOf(call), id);
  if (job === undefined) throw usageError(`there is no job ${id}`);
  printJob(job, call);
}

function changing(action: 'retry' | 'cancel', summary: string, taken: OptionSpecs): GroupedCommand {
  return {
    name: `jobs ${action}`,
    summary,
    arguments: ['ID'],
    options: taken,
    async run(call) {
      printJob(await (await admin()).changeJob(placeOf(call), idOf(call), action), call);
    },
  };
}

async function purge(call: Call): Promise<void> {
  const purged = await (await admin()).purgeJobs(placeOf(call));
  if (call.json) call.output.json({ purged });
  else call.output.line(`${purged} jobs are forgotten`);
}

/** The command `dpm jobs`. */
export const jobsCommands: CommandGroup = {
  name: 'jobs',
  commands: {
    list: {
      name: 'jobs list',
      summary: 'All jobs, the newest first.',
      arguments: [],
      options: { ...options, limit: { value: 'N', help: 'the newest N alone' } },
      run: list,
    },
    show: { name: 'jobs show', summary: 'All there is to say of a job.', arguments: ['ID'], options, run: show },
    retry: changing(
      'retry',
      "Draws again what has failed, and what --results lack. The spool of a server that runs is that server's.",
      samplesOptions,
    ),
    cancel: changing('cancel', 'Ends a job.', options),
    purge: {
      name: 'jobs purge',
      summary: 'Forgets the jobs that are over, and removes their samples.',
      arguments: [],
      options: samplesOptions,
      run: purge,
    },
  },
};
