import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { packagePath } from '../support/temporary.js';
import { commandReference, referenceFile } from './command-reference.js';

describe('the reference of commands', () => {
  it('says what the commands say', async () => {
    const text = await commandReference();
    expect(text.split('\n### dpm ').length).toBeGreaterThan(25);
    // `npm run format` writes it anew.
    expect(readFileSync(packagePath(referenceFile), 'utf8')).toBe(text);
  });
});
