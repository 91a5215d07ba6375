import { readFileSync } from 'node:fs';

import { Compile } from 'typebox/compile';
import { describe, expect, it } from 'vitest';

import {
  described,
  helpOf,
  kindsOf,
  type OptionFact,
  standardsOf,
  standardText,
} from '../../../lib/base/option-facts.js';
import { arrayOf, either, integerBetween, integerFrom, kinds, nameOf, oneOf } from '../../../lib/base/option-kinds.js';
import { batcherOptionFacts, serviceOptionFacts } from '../../../lib/batch/options.js';
import { weightTypeFact } from '../../../lib/checkpoint/convert.js';
import type { Command } from '../../../lib/cli/command.js';
import { convertCommand } from '../../../lib/cli/convert.js';
import { gammaCommand } from '../../../lib/cli/gamma.js';
import { nllCommand } from '../../../lib/cli/nll.js';
import { gradientCommand } from '../../../lib/cli/gradient.js';
import { sampleCommand } from '../../../lib/cli/sample.js';
import { translateCommand } from '../../../lib/cli/translate.js';
import { deviceOptionFacts } from '../../../lib/engine/device.js';
import { dataEstimateOptionFacts } from '../../../lib/estimation/data-estimate.js';
import { flowLikelihoodOptionFacts } from '../../../lib/estimation/flow/flow-likelihood.js';
import { likelihoodOptionFacts } from '../../../lib/estimation/likelihood/estimate.js';
import { recomputeFact } from '../../../lib/engine/evaluation.js';
import { classifierGuideFacts } from '../../../lib/guidance/classifier.js';
import { optionFacts } from '../../../lib/option-facts.js';
import { pictureOptionFacts } from '../../../lib/images/picture-options.js';
import { embeddingOptionFacts } from '../../../lib/latents/added-tokens.js';
import { promptBatcherFacts } from '../../../lib/latents/batcher/options.js';
import { controlOptionFacts } from '../../../lib/latents/control-options.js';
import { generateOptionFacts } from '../../../lib/latents/generate-options.js';
import { invertOptionFacts } from '../../../lib/latents/inversion.js';
import { pipelineOptionFacts } from '../../../lib/latents/load-pipeline.js';
import { loraOptionFacts } from '../../../lib/latents/loras.js';
import { openImagesOptionFacts } from '../../../lib/training/data/options.js';
import { trainingOptionFacts } from '../../../lib/training/options.js';
import { translateOptionFacts } from '../../../lib/translation/options.js';
import { runOptionFacts } from '../../../lib/run/options.js';
import { readSources } from '../../architecture/imports.js';
import { packagePath } from '../../support/temporary.js';

/** Facts about options, and the files of the interfaces that document these. */
const tables = {
  device: { facts: deviceOptionFacts, files: ['engine/device'] },
  run: { facts: runOptionFacts, files: ['run/options', 'guidance/classifier-free'] },
  batcher: { facts: batcherOptionFacts, files: ['batch/options'] },
  promptBatcher: { facts: promptBatcherFacts, files: ['latents/batcher/options', 'batch/options'] },
  service: { facts: serviceOptionFacts, files: ['batch/options'] },
  translation: { facts: translateOptionFacts, files: ['translation/options'] },
  guide: { facts: classifierGuideFacts, files: ['guidance/classifier'] },
  dataEstimate: { facts: dataEstimateOptionFacts, files: ['estimation/data-estimate'] },
  likelihood: { facts: likelihoodOptionFacts, files: ['estimation/likelihood/estimate'] },
  flowLikelihood: { facts: flowLikelihoodOptionFacts, files: ['estimation/flow/flow-likelihood'] },
  pullback: { facts: { recompute: recomputeFact }, files: ['engine/evaluation'] },
  picture: { facts: pictureOptionFacts, files: ['images/picture-options'] },
  pipeline: { facts: pipelineOptionFacts, files: ['latents/load-pipeline', 'latents/load-options', 'engine/device'] },
  lora: { facts: loraOptionFacts, files: ['latents/loras'] },
  embedding: { facts: embeddingOptionFacts, files: ['latents/added-tokens'] },
  control: { facts: controlOptionFacts, files: ['latents/control-options'] },
  inversion: { facts: invertOptionFacts, files: ['latents/inversion', 'latents/generate-options'] },
  generation: { facts: generateOptionFacts, files: ['latents/generate-options'] },
  training: { facts: trainingOptionFacts, files: ['training/options', 'training/rates'] },
  openImages: { facts: openImagesOptionFacts, files: ['training/data/options'] },
};
const all = Object.entries(tables).flatMap(([table, { facts, files }]) =>
  Object.entries<OptionFact>(facts).map(([name, fact]) => ({ table, name, fact, files })),
);

/** What the interfaces of a file say of each of their options. */
function documented(file: string): [name: string, text: string][] {
  const source = readFileSync(packagePath(`lib/${file}.ts`), 'utf8');
  const found = source.matchAll(/^ {2}\/\*\*((?:(?!\*\/)[^])*)\*\/\n {2}(\w+)\?:/gm);
  return [...found].map(([, text = '', name = '']) => [name, text]);
}

describe('the facts of options', () => {
  it.each(all)('of $table have a default of its kind: $name', ({ fact }) => {
    if (fact.standard !== undefined) expect(fact.kind.holds(fact.standard)).toBe(true);
    expect(fact.help).toMatch(/^\S.*[^.;\s]$/);
    expect(fact.help).not.toMatch(/default/);
  });

  it.each(all.filter(({ fact }) => fact.kind.schema !== undefined))(
    'of $table take no more as JSON than as values: $name',
    ({ fact, name }) => {
      const check = Compile(fact.kind.schema as never);
      const values = [
        -1,
        0,
        1,
        2.5,
        2 ** 20,
        2 ** 53,
        '',
        'auto',
        'cpu',
        'mean',
        'low',
        '7',
        null,
        true,
        [],
        [1, 2],
        ['x'],
        {},
      ];
      const taken = values.filter((value) => check.Check(value));
      expect(taken.length, name).toBeLessThan(values.length);
      // JSON has a seed of 64 bits as its digits.
      const asValue = (value: unknown) => (name === 'seed' && typeof value === 'string' ? BigInt(value) : value);
      for (const value of taken) expect(fact.kind.holds(asValue(value)), `${name} ${JSON.stringify(value)}`).toBe(true);
    },
  );

  it('become kinds, defaults and descriptions', () => {
    const facts = {
      rows: { kind: integerFrom(1), help: 'rows of a step', standard: 1200, value: 'N' },
      name: { kind: kinds.string, help: 'a name', otherwise: 'none' },
      exact: { kind: kinds.boolean, help: 'exactly', standard: false },
      work: { kind: kinds.function, help: 'what is called' },
    } as const;
    expect(kindsOf(facts)).toEqual({
      rows: facts.rows.kind,
      name: kinds.string,
      exact: kinds.boolean,
      work: kinds.function,
    });
    expect(standardsOf(facts)).toEqual({ rows: 1200, exact: false });
    expect(Object.values<OptionFact>(facts).map(standardText)).toEqual(['1,200', 'none', null, null]);
    expect(Object.values<OptionFact>(facts).map(helpOf)).toEqual([
      'rows of a step; default 1,200',
      'a name; default none',
      'exactly',
      'what is called',
    ]);
    const tolerances = [1e-5, 0.5].map((standard) => standardText({ kind: kinds.positive, help: 'a size', standard }));
    expect(tolerances).toEqual(['1e-5', '0.5']);
    expect(described(facts).rows).toEqual({
      help: 'rows of a step',
      standard: '1,200',
      value: 1200,
      schema: { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
    });
    expect(described(facts).work.schema).toBeNull();
    expect(described(facts).name.value).toBeNull();
  });

  it('are told nowhere else in the command line and the server', () => {
    const others = [...readSources(packagePath('.'), ['lib/cli', 'packages/server/src'])];
    expect(others.length).toBeGreaterThan(80);
    const sentences = all.map(({ fact }) => fact.help).filter((help) => help.split(' ').length > 3);
    expect(sentences.length).toBeGreaterThan(25);
    const told = (text: string) => sentences.filter((help) => text.includes(`'${help}`));
    expect(others.filter(([, text]) => told(text).length > 0).map(([file]) => file)).toEqual([]);
    expect(told(`help: '${runOptionFacts.batch.help}; default 16'`)).toEqual([runOptionFacts.batch.help]);
  });

  it('have the defaults that the documentation of their interfaces tells', () => {
    let compared = 0;
    for (const { table, name, fact, files } of all.filter((each) => each.fact.standard !== undefined)) {
      const words = standardText(fact) ?? String(fact.standard);
      // The count of a run follows from its programs where there are several.
      const standard =
        name === 'count' ? /else 1\./ : new RegExp(`Default:? \`?${words}\\b|\`?${words}\`?, the default`);
      if (fact.standard === '') continue;
      const texts = files.flatMap(documented).flatMap(([each, text]) => (each === name ? [text] : []));
      expect(
        texts.some((text) => standard.test(text)),
        `${table} ${name}: ${texts.join()}`,
      ).toBe(true);
      ++compared;
    }
    expect(compared).toBeGreaterThan(20);
  });

  it('are what dpm sample offers', () => {
    const flags = {
      count: 'count',
      seed: 'seed',
      first: 'first',
      class: 'classLabels',
      guidance: 'guidance',
      'unconditional-label': 'unconditionalLabel',
      batch: 'batch',
      'classifier-mode': 'guideForm',
    } as const;
    for (const [flag, name] of Object.entries(flags)) {
      const fact: OptionFact = runOptionFacts[name];
      expect(sampleCommand.options[flag]).toMatchObject({ value: fact.value, help: helpOf(fact) });
      // Names are what shells complete.
      expect(sampleCommand.options[flag]?.choices, flag).toEqual(fact.kind.schema?.enum);
    }
    expect(sampleCommand.options['classifier-scale']).toMatchObject({
      value: 'W',
      help: helpOf(classifierGuideFacts.scale),
    });
    for (const [name, fact] of Object.entries<OptionFact>(deviceOptionFacts)) {
      expect(sampleCommand.options[name]?.help).toBe(helpOf(fact));
      expect(sampleCommand.options[name]?.value).toBe(fact.value);
    }
    const { pullback: _, ...offered } = tables;
    expect(Object.keys(optionFacts).sort()).toEqual(Object.keys(offered).sort());
    expect(optionFacts.translation.start.schema).toEqual({ type: 'number', exclusiveMinimum: 0, maximum: 1 });
    expect(optionFacts.run.batch).toEqual({
      help: 'most samples evaluated at once',
      standard: '16',
      value: 16,
      schema: { type: 'integer', minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
    });
  });
});

describe('the facts of options beside those of runs', () => {
  it.each<[Command, Readonly<Record<string, OptionFact>>, readonly string[]]>([
    [translateCommand, translateOptionFacts, ['mask', 'noise', 'signal', 'onProgress']],
    [gammaCommand, dataEstimateOptionFacts, ['timesteps', 'classLabels', 'signal', 'onProgress']],
    [nllCommand, likelihoodOptionFacts, ['classLabels', 'signal', 'onProgress']],
    [nllCommand, flowLikelihoodOptionFacts, ['seed', 'tEnd', 'tStart', 'classLabels', 'signal', 'onProgress']],
    [gradientCommand, { recompute: recomputeFact }, []],
    [convertCommand, { dtype: weightTypeFact }, []],
  ])('are what dpm offers', ({ options }, facts, but) => {
    for (const [name, fact] of Object.entries(facts)) {
      if (but.includes(name)) continue;
      const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      expect(options[flag]?.value, name).toBe(fact.value);
      expect(options[flag]?.help, name).toContain(fact.help);
      expect(options[flag]?.help, name).toContain(standardText(fact) === null ? '' : `; default ${standardText(fact)}`);
    }
  });
});

describe('kinds as JSON', () => {
  it('have the schema of what they hold', () => {
    expect(integerBetween(1, 3).schema).toEqual({ type: 'integer', minimum: 1, maximum: 3 });
    expect(oneOf(['a', 'b']).schema).toEqual({ enum: ['a', 'b'] });
    expect(nameOf(['a', 'b']).schema).toEqual({ enum: ['a', 'b'] });
    expect(nameOf(['a', 'b']).holds('c')).toBe(true);
    expect(arrayOf('numbers', kinds.number).schema).toEqual({ type: 'array', items: { type: 'number' } });
    expect(either(kinds.number, kinds.null).schema).toEqual({ anyOf: [{ type: 'number' }, { type: 'null' }] });
    expect(either(kinds.number, kinds.function).schema).toEqual({ type: 'number' });
    expect(either(kinds.floats, kinds.function)).not.toHaveProperty('schema');
  });
});
