// The options of report.mjs, which scripts/gpu-check explains.
import { parseArgs } from 'node:util';

import { packagePath } from './settings.mjs';
import { CALLS, LONGEST_SECONDS, stages } from './stages.mjs';

function refuse(message) {
  console.error(`gpu-check: ${message}`);
  process.exit(2);
}

function named(list) {
  const wanted = list.split(',');
  const unknown = wanted.find((each) => !stages.some(({ name }) => name === each));
  if (unknown !== undefined) refuse(`no stage '${unknown}'; stages: ${stages.map(({ name }) => name).join(',')}`);
  return wanted;
}

function chosenStages({ stages: list, call }) {
  if (list !== undefined && call !== undefined) refuse('--stages and --call both choose stages');
  if (call !== undefined && !(call >= 1 && call <= CALLS)) refuse(`--call is 1 to ${CALLS}`);
  const wanted = list === undefined ? null : named(list);
  const isChosen = ({ name, call: own }) => {
    // The first stage is always run, as it tells what the others were measured with.
    if (name === 'versions') return true;
    if (wanted !== null) return wanted.includes(name);
    return call === undefined || own === Number(call);
  };
  return stages.filter(isChosen);
}

export function readOptions() {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: 'build/gpu-check' },
      stages: { type: 'string' },
      call: { type: 'string' },
      merge: { type: 'string', multiple: true },
      limit: { type: 'string' },
      quick: { type: 'boolean', default: false },
      'self-test': { type: 'boolean', default: false },
    },
  });
  const limit = Number(values.limit ?? LONGEST_SECONDS * (values.call === undefined ? CALLS : 1));
  if (!(limit > 0)) refuse(`--limit is a number of seconds, not '${values.limit}'`);
  return {
    out: values.out,
    state: process.env.DPM_GPU_CHECK_STATE ?? packagePath('build/gpu-check-state'),
    merge: values.merge ?? null,
    limit,
    quick: values.quick,
    selfTest: values['self-test'],
    chosen: chosenStages(values),
  };
}
