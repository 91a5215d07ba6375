// Times every candidate of cuDNN for every product of the benchmark networks, and our own kernels, as dpm_time_products prints
// it line by line. The most important stage: it says what a network's time is made of and what would be
// faster. A candidate with another result than our own kernel fails the stage, once all of them were tried.
//
//   node products.mjs [PROGRAM [OPTION ...]]
import { withClocks } from './clocks.mjs';
import { follow } from './follow.mjs';
import { parseObject } from './journal.mjs';
import { packagePath, printRow, settings } from './settings.mjs';

const [program = settings.products, ...more] = process.argv.slice(2);
const shapes = packagePath('test/cuda/dnn/network_shapes.tsv');
/** Seconds after which the program stops, before the stage is killed, so that it can still report. */
const seconds = settings.seconds - 5;
/** Seconds for the last problem, which may begin just before the program stops. */
const LAST_SECONDS = 20;

function optionsOf({ selfTest, quick }) {
  // The emulation computes these products in no time.
  if (selfTest) return ['--batches', '1', '--operations', '1.1e6', '--types', 'bf16,f32'];
  return quick ? ['--rows', '20'] : ['--types', 'bf16,f16'];
}

const parameters = [shapes, '--seconds', String(Math.max(1, seconds - LAST_SECONDS)), ...optionsOf(settings), ...more];
let rows = 0;
const wrong = [];
await withClocks(async (clocks) => {
  const onLine = (line) => {
    const row = parseObject(line);
    // A line that is not a row is noted as it is.
    if (row === null) return console.log(line);
    ++rows;
    if (row.right === false) wrong.push(`${row.candidate ?? row.kind} for ${row.problem}, batch ${row.batch}`);
    printRow({ ...row, ...clocks.since() });
  };
  const { status, why } = await follow(program, parameters, { seconds, onLine });
  if (status !== 0) throw new Error(`after ${rows} rows: ${why}`);
});
if (rows === 0) throw new Error('the program measured nothing');
if (wrong.length > 0) throw new Error(`${wrong.length} results are wrong: ${wrong[0]}`);
