// Helpers for lists.
import { expect, it } from 'vitest';

import { listNames } from '../../../lib/base/arrays.js';

it('names are all listed up to the limit, and counted beyond it', () => {
  const names = Array.from({ length: 10 }, (_, i) => `n${i}`);
  expect(listNames(names.slice(0, 3), 3)).toBe('n0, n1, n2');
  expect(listNames(names.slice(0, 4), 3)).toBe('n0, n1, n2 and 1 more');
  expect(listNames(names.slice(0, 8))).toBe(names.slice(0, 8).join(', '));
  expect(listNames(names)).toBe(`${names.slice(0, 8).join(', ')} and 2 more`);
});
