// Writes gpu-check.json and gpu-check.md.
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { toMarkdown } from './markdown.mjs';
import { FORMAT, problemOfReport } from './schema.mjs';
import { stages } from './stages.mjs';

/** Replaces a file at once, so that an interrupted run leaves the earlier report. */
function replaceFile(file, text) {
  writeFileSync(`${file}.part`, text);
  renameSync(`${file}.part`, file);
}

/** Prints a problem of the report, which does not concern later stages. */
function complain(problem) {
  console.error(`gpu-check: the report is not as it should be: ${problem}`);
  process.exitCode = 1;
}

export function writeReport(out, { machine, mode, quick }, known) {
  const all = stages.map(({ name }) => known.get(name)).filter((stage) => stage !== undefined);
  const count = (wanted) => all.filter(({ status }) => status === wanted).length;
  const counts = { passed: count('ok'), failed: count('failed'), skipped: count('skipped') };
  const date = new Date().toISOString().slice(0, 10);
  const report = { format: FORMAT, date, mode, quick, machine, stages: all, ...counts };
  const problem = problemOfReport(report);
  if (problem !== null) complain(problem);
  replaceFile(join(out, 'gpu-check.json'), `${JSON.stringify(report)}\n`);
  try {
    replaceFile(join(out, 'gpu-check.md'), toMarkdown(report));
  } catch (error) {
    complain(error.stack);
  }
}
