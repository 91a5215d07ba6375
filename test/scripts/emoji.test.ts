// What pictures of emoji show and say, and what judges make of pictures of a model.
import { describe, expect, it } from 'vitest';

import { packagePath } from '../support/temporary.js';

interface Emoji {
  hexcode: string;
  emoji: string;
  label: string;
  tags: string[];
}

interface Drawing {
  emoji: Emoji;
  style: string;
  side: number;
  pixels: Uint8Array;
}

/** What a picture shows. */
interface Drawn<Shown = Drawing> {
  shown: Shown[];
  style: string;
  colour: string;
}

type HeldOut = object;
interface Numbers {
  next(): number;
}
interface Named {
  emoji: Pick<Emoji, 'label' | 'tags'>;
}

/** Scripts have no types of their own. */
const load = async <T>(path: string): Promise<T> => (await import(packagePath(path))) as T;

const { reduced, scores } = await load<{
  reduced: (values: Float32Array, shape: number[], side: number) => Float32Array;
  scores: (questions: object[], judged: object[]) => Record<string, number | null>;
}>('bench/quality/emoji/judges.mjs');
const { judgeByDrawings } = await load<{
  judgeByDrawings: (
    drawings: Drawing[],
    values: Float32Array,
    shape: number[],
    parts: number[],
  ) => { background: string; parts: { emoji: string[]; style: string }[] }[];
}>('bench/quality/emoji/drawings.mjs');
const { ask, captionsOf } = await load<{
  ask: (drawn: Drawn<Named>) => string;
  captionsOf: (random: Numbers, drawn: Drawn<Named>) => string[];
}>('scripts/emoji/captions.mjs');
const { Choices, colours, compose, nothing } = await load<{
  Choices: new (drawings: Drawing[], heldOut: HeldOut) => { draw(random: Numbers, halves?: number): Drawn };
  colours: Record<string, number[]>;
  compose: (random: Numbers, size: number, drawn: Omit<Drawn, 'style'>) => Uint8Array;
  nothing: HeldOut;
}>('scripts/emoji/compose.mjs');
const { heldOutJson, holdOut } = await load<{
  heldOutJson: (heldOut: HeldOut) => {
    styles: { hexcode: string; unseen: string }[];
    backgrounds: { hexcode: string; unseen: string[] }[];
  };
  holdOut: (drawings: Drawing[]) => HeldOut;
}>('scripts/emoji/held-out.mjs');
const { labelsOf } = await load<{
  labelsOf: (emoji: Emoji[]) => { names: string[]; of: (sample: object) => number };
}>('scripts/emoji/labels.mjs');
const { kinds, Random } = await load<{
  kinds: Record<'picture', number>;
  Random: new (seed: number, kind: number, index: number) => Numbers;
}>('scripts/emoji/random.mjs');

const emojiOf = (i: number): Emoji => ({
  hexcode: `1F${i}`,
  emoji: `e${i}`,
  label: `thing${i}`,
  tags: [`tag${i}`, 'x'],
});
const SIDE = 8;

/** A drawing whose pixels are all of one colour. */
function drawing(emoji: Emoji, style: string, [r, g, b]: readonly [number, number, number]): Drawing {
  const pixels = new Uint8Array(4 * SIDE * SIDE).map((_, i) => [r, g, b, 255][i % 4]!);
  return { emoji, style, side: SIDE, pixels };
}

const all = Array.from({ length: 400 }, (_, i) => emojiOf(i));
const drawings = all.flatMap((emoji) => [drawing(emoji, 'noto', [255, 0, 0]), drawing(emoji, 'flat', [0, 0, 255])]);

/** Drawings of three emoji in two styles: a disc in quarters, of which the emoji chooses one and the style its colour. */
const patterns = all.slice(0, 3).flatMap((emoji, quarter) =>
  ['noto', 'flat'].map((style) => {
    const pixels = new Uint8Array(4 * 16 * 16);
    for (let i = 0; i < 256; ++i) {
      const [x, y] = [(i % 16) - 7.5, Math.floor(i / 16) - 7.5];
      const isChosen = (x < 0 ? 0 : 1) + (y < 0 ? 0 : 2) === quarter;
      if (Math.hypot(x, y) < 8)
        pixels.set(isChosen ? [style === 'noto' ? 255 : 0, 0, 0, 255] : [40, 40, 120, 255], 4 * i);
    }
    return { emoji, style, side: 16, pixels };
  }),
);

describe('pictures of emoji', () => {
  const heldOut = holdOut(drawings);

  it('never show what is held out', () => {
    const choices = new Choices(drawings, heldOut);
    const { styles, backgrounds } = heldOutJson(heldOut);
    const unseen = new Map(styles.map((each) => [each.hexcode, each.unseen]));
    const colourless = new Map(backgrounds.map((each) => [each.hexcode, each.unseen]));
    expect([unseen.size, colourless.size]).toEqual([150, 150]);
    const shown = { single: 0, pair: 0, ofHeldOut: 0 };
    for (let index = 0; index < 4000; ++index) {
      const { shown: seen, style, colour } = choices.draw(new Random(1, kinds.picture, index));
      ++shown[seen.length === 1 ? 'single' : 'pair'];
      for (const each of seen as { emoji: Emoji; style: string }[]) {
        expect(each.style).toBe(style);
        expect(unseen.get(each.emoji.hexcode)).not.toBe(style);
        expect(colourless.get(each.emoji.hexcode) ?? []).not.toContain(colour);
        if (unseen.has(each.emoji.hexcode)) ++shown.ofHeldOut;
      }
    }
    expect(shown.pair / 4000).toBeCloseTo(0.2, 1);
    expect(shown.ofHeldOut).toBeGreaterThan(100);
  });

  it('hold the same out for every seed of the pictures', () => {
    expect(heldOutJson(holdOut(drawings))).toEqual(heldOutJson(heldOut));
  });

  it('have each emoji in its half, on one colour', () => {
    const [red, blue] = [drawings[0]!, drawings[1]!];
    for (let index = 0; index < 50; ++index) {
      const random = new Random(1, kinds.picture, index);
      const picture = compose(random, 64, { shown: [red, blue], colour: 'green' });
      const at = (x: number, y: number): number[] => [0, 1, 2].map((c) => picture[(c * 64 + y) * 64 + x]!);
      expect(at(0, 0)).toEqual(colours.green);
      expect(at(16, 32)).toEqual([255, 0, 0]);
      expect(at(48, 32)).toEqual([0, 0, 255]);
    }
  });

  it('say what they show, in different words', () => {
    const [first, second] = [all[3]!, all[4]!];
    for (let index = 0; index < 200; ++index) {
      const shown = index % 2 === 0 ? [{ emoji: first }] : [{ emoji: first }, { emoji: second }];
      const texts = captionsOf(new Random(2, kinds.picture, index), {
        shown,
        style: 'flat',
        colour: 'orange',
      });
      expect(new Set(texts).size).toBe(3);
      for (const text of texts) {
        expect(text).not.toMatch(/noto| a orange|on a thing/);
        if (index % 2 === 0) expect(text).not.toMatch(/left of|thing4|tag4/);
        // What lies left comes first, unless the text says right of.
        const [left, right] = [text.search(/thing3|tag3/), text.search(/thing4|tag4/)];
        if (text.includes(' left of ') && right >= 0 && left >= 0) expect(left).toBeLessThan(right);
        if (text.includes(' right of ') && right >= 0 && left >= 0) expect(right).toBeLessThan(left);
      }
    }
    expect(ask({ shown: [{ emoji: first }], style: 'noto', colour: 'red' })).toBe('a thing3, noto style, on red');
    expect(
      ask({ shown: [{ emoji: first }, { emoji: { ...second, label: 'egg' } }], style: 'flat', colour: 'blue' }),
    ).toBe('a thing3 left of an egg, flat style, on blue');
  });

  it('have labels of their emoji', () => {
    const choices = new Choices(drawings, nothing);
    const labels = labelsOf(all);
    for (let index = 0; index < 300; ++index) {
      const { shown } = choices.draw(new Random(3, kinds.picture, index), 0);
      expect(shown).toHaveLength(1);
      const { hexcode } = shown[0]!.emoji;
      expect(labels.names[labels.of({ emoji: [hexcode] })]).toBe(hexcode);
    }
  });
});

describe('judges of pictures', () => {
  it('see the means of pixels', () => {
    const values = Float32Array.from({ length: 2 * 3 * 16 }, (_, i) => i);
    const small = reduced(values, [2, 3, 4, 4], 2);
    expect([...small.subarray(0, 4)]).toEqual([2.5, 4.5, 10.5, 12.5]);
    expect([...small.subarray(4, 8)]).toEqual([18.5, 20.5, 26.5, 28.5]);
    expect(small[20]).toBe(82.5);
    expect(() => reduced(values, [2, 3, 4, 4], 3)).toThrow('no multiple of 3');
  });

  it('count what is right: every part of a picture, at its place', () => {
    const question = (emoji: string[], style: string, background: string): object => ({ emoji, style, background });
    const part = (emoji: string, style: string): object => ({ emoji: emoji.split(''), style });
    const questions = [
      question(['a'], 'flat', 'red'),
      question(['b'], 'noto', 'red'),
      question(['a', 'b'], 'flat', 'blue'),
      question(['a', 'b'], 'flat', 'blue'),
    ];
    const found = [
      { background: 'red', parts: [part('abcdef', 'flat')] },
      { background: 'red', parts: [part('acdebf', 'flat')] },
      { background: 'red', parts: [part('axyz', 'flat'), part('baxyz', 'flat')] },
      { background: 'blue', parts: [part('bacdef', 'flat'), part('acdefb', 'noto')] },
    ];
    expect(scores(questions, found)).toEqual({ background: 0.75, style: 0.5, first: 0.5, topFive: 0.75 });
  });

  it.each([1, 2])('see which drawings are the nearest, wherever they lie, with %i of them', (count) => {
    const shown = Array.from({ length: 20 }, (_, i) => ({
      shown: [patterns[i % 6]!, patterns[(i + 1) % 5]!].slice(0, count),
      style: '',
      colour: Object.keys(colours)[i % 8]!,
    }));
    const pictures = shown.map((drawn, i) => compose(new Random(4, kinds.picture, i), 64, drawn));
    const values = Float32Array.from(
      pictures.flatMap((levels) => [...levels]),
      (level) => level / 127.5 - 1,
    );
    const judged = judgeByDrawings(patterns, values, [20, 3, 64, 64], Array<number>(20).fill(count));
    expect(judged.map(({ background }) => background)).toEqual(shown.map(({ colour }) => colour));
    expect(judged.map(({ parts }) => parts.map(({ emoji, style }) => [emoji[0], style]))).toEqual(
      shown.map((drawn) => drawn.shown.map(({ emoji, style }) => [emoji.hexcode, style])),
    );
    for (const { parts } of judged) for (const { emoji } of parts) expect(new Set(emoji).size).toBe(3);
  });
});
