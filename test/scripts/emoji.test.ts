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
  labelsOf: (what: string, emoji: Emoji[]) => { names: string[]; of: (sample: object) => number };
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

  it('have labels of their emoji and of their look', () => {
    const choices = new Choices(drawings, nothing);
    const [ofEmoji, ofLook] = [labelsOf('emoji', all), labelsOf('look', all)];
    const found = new Set<string>();
    for (let index = 0; index < 300; ++index) {
      const { shown, style, colour } = choices.draw(new Random(3, kinds.picture, index), 0);
      expect(shown).toHaveLength(1);
      const sample = { emoji: [shown[0]!.emoji.hexcode], style, background: colour };
      expect(ofEmoji.names[ofEmoji.of(sample)]).toBe(shown[0]!.emoji.hexcode);
      expect(ofLook.names[ofLook.of(sample)]).toBe(`${style} ${colour}`);
      found.add(`${style} ${colour}`);
    }
    expect([...found].toSorted()).toEqual(ofLook.names.toSorted());
    expect(() => labelsOf('tags', all)).toThrow("--labels is 'tags'");
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

  it('count what is right, of emoji where one is asked for', () => {
    const question = (emoji: string[], style: string, background: string): object => ({ emoji, style, background });
    const judged = (emoji: string[], style: string, background: string): object => ({ emoji, style, background });
    const questions = [
      question(['a'], 'flat', 'red'),
      question(['b'], 'noto', 'red'),
      question(['a', 'b'], 'flat', 'blue'),
    ];
    const found = [
      judged(['a', 'b', 'c', 'd', 'e', 'f'], 'flat', 'red'),
      judged(['a', 'c', 'd', 'e', 'b', 'f'], 'flat', 'red'),
      judged(['x'], 'flat', 'red'),
    ];
    expect(scores(questions, found)).toEqual({ background: 2 / 3, style: 2 / 3, first: 0.5, topFive: 1 });
    expect(scores([questions[1]!], [judged(['a', 'c', 'd', 'e', 'f', 'b'], 'noto', 'blue')])).toEqual({
      background: 0,
      style: 1,
      first: 0,
      topFive: 0,
    });
    expect(scores([questions[2]!], [found[2]!]).first).toBeNull();
  });
});
