// Default number of steps, in the helps and the documentation.
import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { DEFAULT_STEPS } from '../../../lib/index.js';
import { dpm } from '../../support/dpm.js';
import { packagePath } from '../../support/temporary.js';

describe('the default number of steps', () => {
  it.each([['sample'], ['plot', 'strip']])('is in the help of dpm %s %s', async (...words) => {
    const { stdout } = await dpm(...words, '--help');
    expect(stdout).toMatch(new RegExp(`^ +--steps <K> +number of network evaluations; default ${DEFAULT_STEPS}$`, 'm'));
  });

  it('is that of the samples of a training run', async () => {
    const { stdout } = await dpm('train', '--help');
    expect(stdout.replace(/\s+/g, ' ')).toContain(`samples drawn at every checkpoint in ${DEFAULT_STEPS} steps`);
  });

  it.each([
    ['docs/command-line.md', `without \`--steps\` there are ${DEFAULT_STEPS} evaluations`],
    ['docs/http.md', `Number of network evaluations; default ${DEFAULT_STEPS}.`],
    ['docs/http.md', `\`medium\` and \`auto\` ${DEFAULT_STEPS},`],
  ])('is in %s: %s', (file, text) => {
    expect(readFileSync(packagePath(file), 'utf8')).toContain(text);
  });
});
