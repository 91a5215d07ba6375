// Tests of URLs of queues, which are refused before anything is opened.
import { expect, it } from 'vitest';

import { listJobs, Server } from '../../../src/index.js';
import { settingsOf } from '../../../src/config/config.js';

it.each([
  ['redis://:secret@localhost:99999', /^queue cannot be read as a URL/],
  ['redis://:secret/x@localhost', /^queue cannot be read as a URL/],
  ['redis://:secret@local host', /^queue cannot be read as a URL/],
  ['redis://:secret@localhost:0', /^queue has the port 0/],
  ['redis://user:secret@localhost/jobs', /^queue has a database that is no whole number/],
  ['redis://user:secret@localhost/1.5', /^queue has a database that is no whole number/],
  ['rediss://user:secret@localhost/-1', /^queue has a database that is no whole number/],
  ['redis://user:secret@localhost?db=x', /^queue has a database that is no whole number/],
  ['redis://user:secret%zz@localhost', /^queue has a % in its user or password/],
])('%s is a wrong configuration', async (queue, message) => {
  const results = 'file:///nowhere/at/all';
  const expected = { code: 'ERR_DPM_CONFIG', message: expect.stringMatching(message) as string };
  // Neither the model nor the results are there, but nobody has looked for them.
  const config = { models: [{ path: '/nowhere' }], queue, results, port: 0 };
  for (const call of [() => Server.start(config), () => Server.work(config), () => listJobs({ queue })]) {
    const failed = await call().then(
      () => undefined,
      (error: unknown) => error as Error,
    );
    expect(failed).toMatchObject(expected);
    expect(failed?.message).not.toContain('secret');
  }
});

it.each(['redis://q', 'rediss://user:pa%2Fss@q:6380/15', 'redis://[::1]:1/', 'redis:///3', 'redis://q?db=2'])(
  '%s is a URL of a queue',
  (queue) => {
    expect(settingsOf({ models: [{ path: 'm' }], queue, results: 'file:///r' }).queue).toBe(queue);
  },
);
