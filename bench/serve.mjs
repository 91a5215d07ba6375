// Compares serving requests that come at any time by a batcher and by one run after another: the table of RESULTS.md.
//
//   node bench/serve.mjs [--seconds N] [--rounds N] [--out FILE]
//
// Needs a build (`npm run build`) and 15 to 20 minutes. Writes what `dpm bench serve --json` says of each workload to
// bench/serve/results.json, or to FILE, and prints the table.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    rounds: { type: 'string', default: '3' },
    out: { type: 'string' },
  },
});
const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const out = values.out ?? fileURLToPath(new URL('serve/results.json', import.meta.url));

/** A tenth of 1000 steps makes requests three times as long: one round of as much time. */
const workloads = [
  { name: '10, 25 or 70 steps', options: ['--seconds', values.seconds, '--rounds', values.rounds] },
  {
    name: 'a tenth of 1000 steps',
    options: ['--seconds', String(Number(values.seconds) * Number(values.rounds)), '--rounds', '1', '--long', '0.1'],
  },
];

const results = workloads.map(({ name, options }) => {
  const text = execFileSync(process.execPath, [main, 'bench', 'serve', '--json', ...options], { encoding: 'utf8' });
  return { name, options, ...JSON.parse(text) };
});
writeFileSync(out, `${JSON.stringify(results, null, 2)}\n`);

const number = (value) => value.toFixed(value >= 100 ? 0 : value >= 1 ? 1 : 2);
console.log('| workload | policy | requests | mean, ms | p99 | p99 of 10 steps | p99 a step | goodput | loop p99 |');
console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- |');
for (const { name, policies, ratios } of results) {
  for (const each of policies) {
    const cells = [each.mean, each.p99, each.shortP99, each.perRecordP99].map(number);
    const goodput = `${(100 * each.goodput).toFixed(1)} %`;
    console.log(`| ${[name, each.policy, each.requests, ...cells, goodput, number(each.loopDelayP99)].join(' | ')} |`);
  }
  console.log(
    `| ${name} | ratio | | ${number(ratios.mean)} | ${number(ratios.p99)} | ${number(ratios.shortP99)} | | | |`,
  );
}
