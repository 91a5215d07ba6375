import { PassThrough } from 'node:stream';

import { expect, it } from 'vitest';

import { withStreams } from '../../../lib/cli/output.js';
import { endingSignals, runCommandLine } from '../../../lib/cli/run.js';

it('what ends a command depends on the system', () => {
  expect(endingSignals('linux')).toEqual(['SIGINT', 'SIGTERM']);
  expect(endingSignals('darwin')).toEqual(['SIGINT', 'SIGTERM']);
  expect(endingSignals('win32')).toEqual(['SIGINT', 'SIGBREAK', 'SIGHUP']);
  expect(endingSignals()).toEqual(endingSignals(process.platform));
});

it.each([
  ['is interrupted', ['inspect', 'mnist'], 130],
  ['is wrong', ['inspect'], 2],
  ['names what is not there', ['inspect', 'no-such-model'], 1],
])('a command that %s ends with a code of its own', async (_, args, code) => {
  const own = { stdout: new PassThrough(), stderr: new PassThrough() };
  const interrupt = (): AbortSignal => (code === 130 ? AbortSignal.abort() : new AbortController().signal);
  expect(await withStreams(own, () => runCommandLine(args, interrupt))).toBe(code);
});
