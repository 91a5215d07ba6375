import { expect, it } from 'vitest';

import { endingSignals } from '../../../lib/cli/run.js';

it('what ends a command depends on the system', () => {
  expect(endingSignals('linux')).toEqual(['SIGINT', 'SIGTERM']);
  expect(endingSignals('darwin')).toEqual(['SIGINT', 'SIGTERM']);
  expect(endingSignals('win32')).toEqual(['SIGINT', 'SIGBREAK', 'SIGHUP']);
  expect(endingSignals()).toEqual(endingSignals(process.platform));
});
