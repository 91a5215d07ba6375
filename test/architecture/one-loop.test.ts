// There is one loop: one place in native code that advances samples, and one in TypeScript that sends requests to it.
import { describe, expect, it } from 'vitest';

import { packagePath } from '../support/temporary.js';
import { readSources } from './imports.js';

const sources = readSources(packagePath('.'), ['lib', 'native', 'packages/server/src']);

/** Finds the places of a text in the product's sources, a file as often as the text occurs in it. */
function places(pattern: RegExp, tree: string, but: readonly string[] = []): string[] {
  return [...sources]
    .filter(([file]) => file.startsWith(`${tree}/`) && !but.includes(file))
    .flatMap(([file, text]) => Array.from(text.matchAll(pattern), () => file));
}

describe('one loop', () => {
  it('advances a sample in one place', () => {
    expect(places(/\bcounter\s*\+=|\+\+\s*[\w.>-]*\bcounter\b(?!_)/g, 'native')).toEqual([
      'native/sampling/batch_steps.cc',
    ]);
  });

  it('updates the samples of a step in one place', () => {
    expect(places(/step_?(?:->|\.)update\(/g, 'native')).toEqual(['native/sampling/batch_steps.cc']);
    expect(places(/step_?(?:->|\.)queue\(/g, 'native')).toEqual(['native/sampling/batch_steps.cc']);
  });

  it('has a trajectory advanced by the batch alone', () => {
    const files = places(/network\(\)->advance\(/g, 'native');
    expect(new Set(files)).toEqual(new Set(['native/sampling/batch_steps.cc', 'native/sampling/batch_trajectory.cc']));
    expect(places(/->advance\(|\.advance\(/g, 'native', [...files, 'native/engine/network.cc'])).toEqual([]);
  });

  it('has a step evaluated and updated in one place', () => {
    expect(places(/network\(\)->step\(/g, 'native')).toEqual(['native/sampling/step.cc']);
    expect(places(/(?:network|api\(\)|->|\.)\.?step\(executable/g, 'native')).toEqual(['native/engine/network.cc']);
  });

  it('sends requests to a batch of its own, or to the served one', () => {
    expect(new Set(places(/\.submit\(/g, 'lib'))).toEqual(new Set(['lib/run/own-batch.ts', 'lib/batch/requests.ts']));
    expect(places(/\.submit\(/g, 'packages')).toEqual([]);
  });

  it('takes the requests of TypeScript from one function', () => {
    expect(places(/(?<!function )\bnativeRequest\(/g, 'lib')).toEqual(['lib/run/step-run.ts']);
    expect(places(/(?<!function )\bnativeRequest\(/g, 'packages')).toEqual([]);
  });

  it('mixes both predictions of guidance by one formula, native and packed', () => {
    expect(places(/1\.0F - \w*(?:weight|guidance)/g, 'native')).toEqual(['native/backend/guidance.h']);
    expect(places(/\b1 - (?:Math\.fround\()?\w*[wW]eight/g, 'lib')).toEqual(['lib/guidance/classifier-free.ts']);
  });
});
