// The time of every operation alone, of the cases that the tests compare with the reference.
import { withClocks } from './clocks.mjs';
import { follow } from './follow.mjs';
import { printRow, settings } from './settings.mjs';

const { quick, selfTest, seconds } = settings;
const chosen = selfTest ? ['--operation', 'Resample', '--rounds', '1'] : ['--rounds', quick ? '5' : '50'];
/** "Convolution 3x3 0   123.4 us   56.7 GFLOP/s" */
const timed = /^(\S+) (.+) (\d+) +([\d.]+) us +([\d.]+) (GFLOP\/s|GB\/s)$/;

let rows = 0;
await withClocks(async (clocks) => {
  const onLine = (line) => {
    const found = timed.exec(line);
    // The first line names the card.
    if (found === null) return;
    const [, operation, family, index, microseconds, rate, unit] = found;
    ++rows;
    const facts = { operation, family: family.trim(), case: Number(index) };
    printRow({ ...facts, microseconds: Number(microseconds), rate: Number(rate), unit, ...clocks.since() });
  };
  const { status, why } = await follow(settings.operations, ['--bench', '--device', 'cuda:0', ...chosen], {
    seconds: seconds - 5,
    onLine,
  });
  if (status !== 0) throw new Error(`after ${rows} rows: ${why}`);
});
if (rows === 0) throw new Error('the program measured nothing');
