// Comments are sentences that are understood where they stand.
import { describe, expect, it } from 'vitest';

import { packagePath } from '../support/temporary.js';
import { readSources } from './imports.js';

const sources = readSources(packagePath('.'), ['lib', 'native', 'cuda', 'packages/server/src']);

/** Finds comments that go on with what the code has begun. */
function fragments(text: string): string[] {
  return Array.from(text.matchAll(/^\s*(?:\/\/\/?|\/\*\*|\*)\s+Of\b.*$/gm), ([line]) => line.trim());
}

describe('comments', () => {
  it('are no fragments', () => {
    expect(fragments('  /// Of the last row.\n/** Of two. */\n * Of three.\nOf four')).toHaveLength(3);
    const found = [...sources].flatMap(([file, text]) => fragments(text).map((line) => `${file}: ${line}`));
    expect(found).toEqual([]);
  });
});
