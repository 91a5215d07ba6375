// Arms of a comparison, alternated round by round.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

export const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** The milliseconds of `calls` calls of `body`, after one that does not count. */
export async function timeCalls(body, calls) {
  await body();
  const times = [];
  for (let call = 0; call < calls; ++call) {
    const start = performance.now();
    await body();
    times.push(performance.now() - start);
  }
  return times;
}

/** The median of all rounds for each arm. Each round starts with another arm. */
export async function alternate(arms, { rounds, calls }) {
  const times = new Map(arms.map((arm) => [arm, []]));
  for (let round = 0; round < rounds; ++round) {
    for (let i = 0; i < arms.length; ++i) {
      const arm = arms[(round + i) % arms.length];
      // An engine's threads spin for a while after their work; the next arm starts when they sleep.
      await sleep(100);
      times.get(arm).push(...(await arm.time(calls)));
    }
  }
  return new Map([...times].map(([arm, values]) => [arm, median(values)]));
}

/** The largest difference, relative to the largest value or, if that is less, to `least`. */
export function relativeError(values, expected, least = 1) {
  const size = expected.reduce((most, value) => Math.max(most, Math.abs(value)), least);
  return values.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0) / size;
}

/** Adds a comparison to a file of them; it takes the place of an earlier one of the same subject. */
export function keep(file, { subject, threads, ...report }) {
  const kept = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
  const comparison = {
    subject,
    date: new Date().toISOString().slice(0, 10),
    processor: cpus()[0].model,
    threads,
    node: process.version,
    ...report,
  };
  const others = kept.filter((each) => each.subject !== subject || each.threads !== threads);
  writeFileSync(file, `${JSON.stringify([...others, comparison], null, 2)}\n`);
}

export function printTable(rows) {
  const [header, ...body] = rows.map((row) => `| ${row.join(' | ')} |`);
  console.log([header, `|${' --- |'.repeat(rows[0].length)}`, ...body].join('\n'));
}
