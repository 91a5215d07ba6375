// How long every candidate of cuDNN for every product of the benchmark networks takes: what dpm_time_products prints, line by
// line. The most important stage: it says what a network's time is made of and what would be faster.
//
//   node products.mjs [PROGRAM]
import { existsSync } from 'node:fs';

import { withClocks } from './clocks.mjs';
import { follow } from './follow.mjs';
import { parseObject } from './journal.mjs';
import { packagePath, printRow, settings, skip } from './settings.mjs';

const [program = settings.products] = process.argv.slice(2);
const shapes = packagePath('test/cuda/dnn/network_shapes.tsv');
/** Before the stage is ended by force, which would leave the program without its last words. */
const seconds = settings.seconds - 5;

if (!existsSync(program)) skip(`there is no ${program}`);
let rows = 0;
await withClocks(async (clocks) => {
  const onLine = (line) => {
    const row = parseObject(line);
    // What is no row is noted as it is.
    if (row === null) return console.log(line);
    ++rows;
    printRow({ ...row, ...clocks.since() });
  };
  const { status, why } = await follow(program, [shapes], { seconds, onLine });
  if (status !== 0) throw new Error(`after ${rows} rows: ${why}`);
});
if (rows === 0) throw new Error('the program measured nothing');
