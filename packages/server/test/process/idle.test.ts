// Tests of a server that has nothing to do: its process sleeps.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fork } from 'node:child_process';
import { once } from 'node:events';

import { expect, it, onTestFinished } from 'vitest';

import { packagePath } from '../../../../test/support/temporary.js';

/** How often the threads of a process have gone to sleep, and so been woken. */
function wakes(process: number): number {
  const threads = `/proc/${process}/task`;
  return readdirSync(threads)
    .map((thread) => readFileSync(`${threads}/${thread}/status`, 'utf8'))
    .reduce((sum, status) => sum + Number(/^voluntary_ctxt_switches:\s*(\d+)/m.exec(status)?.[1]), 0);
}

it.skipIf(!existsSync('/proc/self/task'))('an idle server is woken seldom', async () => {
  const options = ['mnist', '--device', 'cpu', '--port', '0', '--log-level', 'silent'];
  const server = fork(packagePath('dist/cli/main.js'), ['serve', ...options], { silent: true });
  onTestFinished(() => void server.kill());
  await once(server.stdout!, 'data');
  // The first seconds are those of the compiler and the collector.
  await sleep(2000);
  const before = wakes(server.pid!);
  await sleep(2000);
  expect((wakes(server.pid!) - before) / 2).toBeLessThan(100);
});
