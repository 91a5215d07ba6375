// Finds the suites of GoogleTest. Each runs in a process of its own, as an error on the card spoils all later work of its process.
import { spawnSync } from 'node:child_process';

/** The suites that have tests which `filter` chooses, each with the filter for these alone. */
export function listSuites(tests, filter) {
  const parameters = ['--gtest_list_tests', `--gtest_filter=${filter}`];
  const { status, stdout, stderr, error } = spawnSync(tests, parameters, { encoding: 'utf8', timeout: 30_000 });
  if (status !== 0) throw new Error(`the tests cannot be listed: ${error?.message ?? stderr}`);
  const suites = new Map();
  let suite = null;
  // Suites stand at the margin and end with a point; their tests are indented.
  for (const line of stdout.split('\n')) {
    const name = line.split('#')[0].trim();
    if (/^\S+\.(\s|$)/.test(line)) suites.set((suite = name), []);
    else if (suite !== null && name !== '') suites.get(suite).push(`${suite}${name}`);
  }
  return [...suites].map(([name, own]) => ({ suite: name.slice(0, -1), filter: own.join(':') }));
}
