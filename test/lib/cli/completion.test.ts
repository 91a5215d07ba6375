// Completions of shells, by the built command: the library prints for the process.
import { describe, expect, it } from 'vitest';

import { bundledModels, samplerNames } from '../../../lib/index.js';
import { trajectoryNames } from '../../../lib/schedule/trajectory.js';
import { commandNames, dpm, dpmProcess } from '../../support/dpm.js';

/** What the words complete to, and the directive to the shell: 4 for no files, 0 for files where nothing is listed. */
async function completed(...words: string[]): Promise<{ values: string[]; directive: string }> {
  const { code, stdout, stderr } = await dpmProcess('complete', '--', ...words);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const lines = stdout.trimEnd().split('\n');
  return { values: lines.slice(0, -1).map((line) => line.split('\t')[0]!), directive: lines.at(-1)! };
}

describe('dpm complete', () => {
  it.each(['bash', 'zsh', 'fish', 'powershell'])('prints a script of %s that asks dpm', async (shell) => {
    const { code, stdout } = await dpmProcess('complete', shell);
    expect(code).toBe(0);
    expect(stdout).toMatch(/dpm complete --|\$RequestComp = "& dpm complete/);
  });

  it('lets bash complete files where nothing of ours fits', async () => {
    const { stdout } = await dpmProcess('complete', 'bash');
    expect(stdout.trimEnd().split('\n').at(-1)).toBe('complete -o default -o bashdefault -F __dpm_complete dpm');
    expect(stdout).toContain('__dpm_complete()');
  });

  it('has a help', async () => {
    for (const words of [
      ['complete', '--help'],
      ['help', 'complete'],
    ]) {
      const { code, stdout } = await dpm(...words);
      expect(code).toBe(0);
      expect(stdout).toMatch(/^Usage: dpm complete bash\|zsh\|fish\|powershell\n/);
    }
  });

  it('refuses another shell', async () => {
    const { code, stderr } = await dpm('complete', 'tcsh');
    expect(code).toBe(2);
    expect(stderr).toContain('dpm complete takes one of bash, zsh, fish, powershell, got: tcsh');
    expect((await dpm('complete')).stderr).toContain('got: nothing');
  });

  it('knows the commands', async () => {
    const { values, directive } = await completed('');
    expect(values).toEqual(expect.arrayContaining([...commandNames, 'serve', 'jobs']));
    expect(directive).toBe(':4');
    expect((await completed('tr')).values.sort()).toEqual(['train', 'translate']);
    expect((await completed('plot', 's')).values).toEqual(['strip']);
  });

  it('knows the models that are here, and leaves other arguments to the shell', async () => {
    expect((await completed('sample', '')).values).toEqual(bundledModels);
    expect(await completed('sample', './mod')).toEqual({ values: [], directive: ':0' });
    expect(await completed('sample', 'mnist', '--out', '')).toEqual({ values: [], directive: ':0' });
  });

  it('knows options and their values', async () => {
    expect((await completed('sample', 'mnist', '--guid')).values).toEqual(['--guidance']);
    expect((await completed('sample', 'mnist', '--sampler', '')).values).toEqual(samplerNames);
    expect((await completed('plot', 'strip', 'mnist', '--trajectory', '')).values).toEqual(trajectoryNames);
    expect((await completed('nll', 'mnist', '--js')).values).toEqual(['--json']);
  });
});
