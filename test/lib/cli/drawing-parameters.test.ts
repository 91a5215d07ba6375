// The text of a drawing's parameters, as other programs write it.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { formatParameters, parseParameters, type DrawingParameters } from '../../../lib/cli/drawing-parameters.js';
import { samplerNames } from '../../../lib/samplers/index.js';

const full = {
  prompt: 'a red fox',
  negativePrompt: 'blurry, text',
  steps: 20,
  sampler: 'ddim',
  guidance: 7.5,
  seed: 42n,
  height: 512,
  width: 768,
  skippedLayers: 1,
  tile: 64,
  count: 4,
  position: 2,
} as const satisfies DrawingParameters;

describe('parameters', () => {
  it('are written as by other programs', () => {
    expect(formatParameters(full, 'stable-diffusion-v1-5')).toBe(
      'a red fox\nNegative prompt: blurry, text\nSteps: 20, Sampler: ddim, CFG scale: 7.5, Seed: 42, Size: 768x512, ' +
        'Model: stable-diffusion-v1-5, Clip skip: 2, Batch size: 4, Batch pos: 2, Tile: 64, Version: dpm-native',
    );
    const refined = { prompt: 'x', steps: 1, guidance: 4, guidanceRescale: 0.7, strength: 0.5, refinerStart: 0.8 };
    const loras = [{ name: 'ink', scale: 0.5 }];
    expect(formatParameters(refined, 'sdxl', { refiner: 'refiner, new', loras })).toBe(
      'x\nSteps: 1, CFG scale: 4, CFG rescale: 0.7, Denoising strength: 0.5, Model: sdxl, Refiner: "refiner, new", ' +
        'Refiner switch at: 0.8, Loras: "ink:0.5", Version: dpm-native',
    );
    expect(formatParameters({ prompt: 'x', steps: 1 }, 'a: "b", c')).toBe(
      'x\nSteps: 1, Model: "a: \\"b\\", c", Version: dpm-native',
    );
  });

  it('of texts of any kind are read as they were', () => {
    const line = fc.oneof(
      fc.constantFrom(
        'Negative prompt: a',
        'Steps: 3, Seed: 1',
        'a, b: "c"',
        '',
        ' ',
        '\r',
        '\u{1f98a}',
        'Prompt length: 1',
      ),
      fc.string({ unit: 'grapheme', maxLength: 20 }),
    );
    const text = fc.array(line, { maxLength: 5 }).map((lines) => lines.join('\n'));
    const drawing = fc.record(
      {
        negativePrompt: text,
        sampler: fc.constantFrom(...samplerNames),
        guidance: fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0),
        seed: fc.bigInt(0n, 2n ** 64n - 1n),
        skippedLayers: fc.integer({ min: 1, max: 9 }),
        tile: fc.integer({ min: 1, max: 4096 }),
        guidanceRescale: fc.double({ min: 0.1, max: 1, noNaN: true }),
        strength: fc.double({ min: 0.1, max: 1, noNaN: true }),
        refinerStart: fc.double({ min: 0.1, max: 1, noNaN: true }),
        sourcePrompt: text,
        count: fc.integer({ min: 2, max: 65_536 }),
      },
      { requiredKeys: [] },
    );
    const size = fc.record({ height: fc.integer({ min: 1, max: 16_384 }), width: fc.integer({ min: 1, max: 16_384 }) });
    fc.assert(
      fc.property(text, drawing, size, fc.integer({ min: 1, max: 1000 }), text, (prompt, some, sides, steps, model) => {
        const given = { prompt, steps, ...some, ...sides };
        const written = formatParameters(given, model);
        expect(parseParameters(written, 'x.png')).toEqual({ parameters: given, unread: [] });
      }),
      { numRuns: 500 },
    );
  });

  it('of other programs are read, and what is not known is named', () => {
    const text =
      'masterpiece, (fox:1.2)\nin snow\nNegative prompt: lowres,\nbad\n' +
      'Steps: 28, CFG scale: 7.000000, Seed: 123, Size: 512x768, Model hash: 6ce0161689, Model: "a, b", Eta: 0.00, Sampler: euler, Lora hashes: "a: 1, b: 2", Version: v1\n';
    const { parameters, unread } = parseParameters(text, 'x.png');
    expect(parameters).toEqual({
      prompt: 'masterpiece, (fox:1.2)\nin snow',
      negativePrompt: 'lowres,\nbad',
      steps: 28,
      guidance: 7,
      seed: 123n,
      width: 512,
      height: 768,
      sampler: 'euler',
    });
    expect(unread).toEqual(['Eta', 'Lora hashes']);
    expect(parseParameters('Steps: 5', 'x.png').parameters).toEqual({ prompt: '', steps: 5 });
    expect(parseParameters('Negative prompt: b\nSteps: 5', 'x.png').parameters.negativePrompt).toBe('b');
  });

  it.each([
    ['a cat', 'do not end in a line that begins with Steps'],
    ['a\nSteps: x', 'Steps is "x", it has to be a positive integer'],
    ['a\nSteps: ', 'Steps is ""'],
    ['a\nSteps: 0x', 'Steps is "0x"'],
    ['a\nSteps: 1, Sampler: Euler a', 'Sampler is "Euler a", it has to be one of'],
    ['a\nSteps: 1, CFG scale: 1e999', 'CFG scale is "1e999", it has to be a finite number'],
    ['a\nSteps: 1, Seed: -1', 'Seed is "-1"'],
    [`a\nSteps: 1, Seed: ${2n ** 64n}`, 'Seed is "18446744073709551616", it has to be an integer below 2^64'],
    ['a\nSteps: 1, Size: 512', 'Size is "512", it has to be WIDTHxHEIGHT'],
    ['a\nSteps: 1, Size: 0x8', 'Size is "0x8"'],
    ['a\nSteps: 1, Clip skip: 0', 'Clip skip is "0"'],
    ['a\nSteps: 1, Batch size: 65537', 'Batch size is "65537"'],
    ['a\nSteps: 1, Batch size: 2, Batch pos: 2', 'Batch pos is "2", it has to be an integer from 0 to 1'],
    ['a\nSteps: 1, Tile: 1.5', 'Tile is "1.5"'],
    ['a\nSteps: 1, Prompt length: 9', 'another prompt than Prompt length says'],
    ['abc\nSteps: 1, Prompt length: 2', 'another prompt than Prompt length says'],
    ['a\nSteps: 1, Steps: 2', 'have the field Steps twice'],
    ['a\nSteps: 1, nothing', 'have no field and value at " nothing"'],
    [`a\nSteps: 1, ${'a'.repeat(1e6)}`, 'have no field and value'],
  ])('are refused: %#', (text, problem) => {
    const read = (): unknown => parseParameters(text, 'x.png');
    expect(read).toThrow(`x.png: its parameters`);
    expect(read).toThrow(problem);
    expect(read).toThrow(expect.objectContaining({ code: 'ERR_DPM_FILE' }) as Error);
  });

  it('of a hostile line are read soon', () => {
    const start = performance.now();
    for (const line of ['"\\'.repeat(5e5), '"x,a:'.repeat(2e5), '"'.repeat(1e6), ' '.repeat(1e6), 'a: '.repeat(3e5)]) {
      try {
        parseParameters(`a\nSteps: 1, b: ${line}`, 'x.png');
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_DPM_FILE' });
      }
    }
    expect(performance.now() - start).toBeLessThan(5000);
  });

  it('need not be understood where they are replaced', () => {
    const bad =
      'a\nSteps: x, Sampler: y, CFG scale: z, Seed: s, Size: 1, Clip skip: c, Batch size: b, Batch pos: 9, Tile: t';
    const { parameters } = parseParameters(bad, 'x.png', () => true);
    expect(parameters).toEqual({ prompt: 'a' });
  });
});
