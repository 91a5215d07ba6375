// The list of samplers, and one of them.
import { describe, expect, it } from 'vitest';

import { samplerNames, samplers } from '../../../lib/index.js';
import { dpm } from '../../support/dpm.js';

describe('dpm samplers', () => {
  it('lists every sampler with its summary', async () => {
    const { code, stdout } = await dpm('samplers');
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines.map((line) => line.split(/ +/)[0])).toEqual(samplerNames);
    for (const [index, name] of samplerNames.entries()) expect(lines[index]).toContain(samplers[name].facts.summary);
  });

  it('describes one with what it needs and takes', async () => {
    const { stdout } = await dpm('samplers', 'npr-ddim');
    expect(stdout).toMatch(/^npr-ddim: DDIM .*\nneeds a variance head: npr\n\n/);
    expect(stdout).toMatch(/^ {2}--eta X +share of the Markov noise/m);
    expect(stdout).toMatch(/^ {2}--avg-cov +one variance/m);
    expect((await dpm('samplers', 'analytic-ddpm')).stdout).toContain('needs the table of second moments gamma.json');
    expect((await dpm('samplers', 'heun')).stdout).not.toContain('needs');
  });

  it('prints the same for machines', async () => {
    const all = JSON.parse((await dpm('samplers', '--json')).stdout) as { name: string; options: { name: string }[] }[];
    expect(all.map(({ name }) => name)).toEqual(samplerNames);
    for (const { name, options } of all) {
      const taken = Object.keys(samplers[name as keyof typeof samplers].facts.options);
      expect(options.map((option) => option.name)).toEqual(taken);
    }
    const one = JSON.parse((await dpm('samplers', 'predictor-corrector', '--json')).stdout) as {
      options: { flag: string }[];
    };
    expect(one).toEqual(all.find(({ name }) => name === 'predictor-corrector'));
    expect(one).toMatchObject({ fewestSteps: 100, head: null, gamma: false });
    expect(one.options.map(({ flag }) => flag)).toContain('--corrector-steps');
  });

  it('knows the nearest name', async () => {
    const { code, stderr } = await dpm('samplers', 'unpic');
    expect(code).toBe(2);
    expect(stderr).toMatch(/sampler 'unpic' is unknown \(did you mean 'unipc'\?\); use one of ddpm/);
    expect((await dpm('samplers', 'magic')).stderr).toMatch(/sampler 'magic' is unknown; use one of ddpm/);
  });
});
