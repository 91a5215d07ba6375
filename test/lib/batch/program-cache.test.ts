// Programs that requests ask for: which are kept, and what is known of one before it is made.
import { describe, expect, it } from 'vitest';

import { leastEvaluations } from '../../../lib/batch/demand.js';
import { Admission } from '../../../lib/batch/admission.js';
import { ProgramCache } from '../../../lib/batch/program-cache.js';
import { Programs } from '../../../lib/batch/programs.js';
import { linear, stepProgram, stepRecord } from '../../../lib/program/builder.js';
import { packRecords } from '../../../lib/program/pack.js';
import type { StepProgram } from '../../../lib/program/program.js';
import type { SamplerName } from '../../../lib/samplers/index.js';

const program = (time = 1) => stepProgram([stepRecord({ time, x: linear({ out: 1 }) })]);

/** What finds programs, of which each compiled one is counted. */
function cache() {
  const compiled: string[] = [];
  const kept = new ProgramCache();
  const compile = (sampler: SamplerName, options: object) => {
    compiled.push(`${sampler} of ${Object.keys(options).join()}`);
    return program();
  };
  const admission = new Admission({ order: 'share', stretch: 0 }, { maxWait: 1, maxWork: 1, maxWaitingBytes: 1 });
  const found = new Programs({ compile, task: () => null }, { cache: kept, admission }, undefined);
  const get = (sampler: SamplerName, options: object) => {
    const answer = found.find(sampler, options, { tenant: '', weight: 1, priority: 'normal' });
    if (!('made' in answer) || answer.made.kind === 'host') throw new Error('no step program');
    return answer.made;
  };
  return { compiled, programs: { get, pack: (each: StepProgram) => kept.pack(each) } };
}

describe('kept programs', () => {
  it('are those of the same sampler and options, in any order', () => {
    const { compiled, programs } = cache();
    const first = programs.get('ddim', { steps: 5, eta: 0.5 });
    expect(programs.get('ddim', { eta: 0.5, steps: 5, clip: undefined })).toBe(first);
    expect(compiled).toHaveLength(1);
    const others: [SamplerName, object][] = [
      ['ddpm', { steps: 5, eta: 0.5 }],
      ['ddim', { steps: 6, eta: 0.5 }],
      ['ddim', { steps: 5 }],
      ['ddim', { steps: 5, eta: 0.5, clip: { dynamic: 0.9 } }],
      ['ddim', { steps: 5, eta: 0.5, clip: { dynamic: 0.95 } }],
      ['ddim', { steps: 5, eta: null }],
      ['ddim', { steps: '5', eta: 0.5 }],
    ];
    for (const [sampler, options] of others) expect(programs.get(sampler, options)).not.toBe(first);
    expect(compiled).toHaveLength(8);
    expect(programs.get('ddim', { steps: 5, eta: 0.5, clip: { dynamic: 0.9 } })).toBeDefined();
    expect(compiled).toHaveLength(8);
  });

  it('are not those of options that JSON cannot tell apart', () => {
    for (const value of [Number.NaN, -0, Infinity, 5n, new Float32Array(2), new Map(), () => 1, 'x'.repeat(5000)]) {
      const { compiled, programs } = cache();
      const options = { gamma: value };
      expect(programs.get('ddim', options)).not.toBe(programs.get('ddim', options));
      expect(programs.get('ddim', { nested: [options] })).not.toBe(programs.get('ddim', { nested: [options] }));
      expect(compiled.length, typeof value).toBe(4);
    }
  }, 10_000);

  it('are the last used sixty-four', () => {
    const { compiled, programs } = cache();
    for (let steps = 0; steps < 64; ++steps) programs.get('ddim', { steps });
    programs.get('ddim', { steps: 0 });
    programs.get('ddim', { steps: 64 });
    expect(compiled).toHaveLength(65);
    programs.get('ddim', { steps: 0 });
    expect(compiled).toHaveLength(65);
    programs.get('ddim', { steps: 1 });
    expect(compiled).toHaveLength(66);
  });

  it('are packed once; others as they are now', () => {
    const { programs } = cache();
    const own = programs.get('ddim', { steps: 5 });
    expect(programs.pack(own)).toEqual(packRecords(own));
    expect(programs.pack(own)).toBe(programs.pack(own));
    const foreign = program(7);
    expect(programs.pack(foreign)).toEqual(packRecords(foreign));
    expect(programs.pack(foreign)).not.toBe(programs.pack(foreign));
  });
});

describe('the evaluations of a request before its program is made', () => {
  it('are known where its steps alone decide', () => {
    expect([1, 3, 7].map((steps) => leastEvaluations({ steps }))).toEqual([1, 1, 5]);
    expect(leastEvaluations({ steps: -7 })).toBe(1);
    expect(leastEvaluations({ steps: 7, timesteps: [3, 1] })).toBeUndefined();
    expect(leastEvaluations({ steps: 7, levels: [{ alpha: 1, sigma: 1, time: 1 }] })).toBeUndefined();
    expect(leastEvaluations({ steps: 'many' } as never)).toBeUndefined();
    expect(leastEvaluations({ steps: Infinity })).toBeUndefined();
    expect(leastEvaluations({})).toBeUndefined();
  });
});
