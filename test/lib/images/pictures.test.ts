// Forms of images for people and for other libraries.
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';

import { ImageBatch, readFloats, readSafetensorsHeader } from '../../../lib/index.js';
import { captioned } from '../../../lib/images/captions.js';
import { pictureOptionFacts } from '../../../lib/images/picture-options.js';
import { temporaryFolder } from '../../support/temporary.js';

const folder = temporaryFolder();

/** Two images of 2 x 3 pixels in three channels, whose levels count up. */
const colours = new ImageBatch(
  Uint8Array.from({ length: 36 }, (_, i) => i),
  [2, 3, 2, 3],
);
/** Five grey images of 2 x 2 pixels, each of one level. */
const grey = new ImageBatch(
  Uint8Array.from({ length: 20 }, (_, i) => 50 * Math.floor(i / 4) + 5),
  [5, 1, 2, 2],
);

describe('images', () => {
  it('have the channels of a pixel beside each other', () => {
    expect([...colours.interleaved().subarray(0, 6)]).toEqual([0, 6, 12, 1, 7, 13]);
    expect([...colours.interleaved().subarray(18, 24)]).toEqual([18, 24, 30, 19, 25, 31]);
  });

  it('are opaque pixels of a canvas', () => {
    const pixels = colours.toRGBA();
    expect(pixels).toBeInstanceOf(Uint8ClampedArray);
    expect([...pixels.subarray(0, 8)]).toEqual([0, 6, 12, 255, 1, 7, 13, 255]);
    expect([...grey.toRGBA().subarray(16, 20)]).toEqual([55, 55, 55, 255]);
    const own = new ImageBatch(Uint8Array.of(7, 8), [1, 1, 1, 2]);
    expect([...own.toRGBA()]).toEqual([7, 7, 7, 255, 8, 8, 8, 255]);
    const two = new ImageBatch(new Uint8Array(8), [1, 2, 2, 2]);
    expect(() => two.toRGBA()).toThrow(expect.objectContaining({ code: 'ERR_DPM_UNSUPPORTED' }));
    expect(() => two.toPng()).toThrow(/a PNG holds 1 or 3 channels, the images have 2/);
  });

  it('are taken apart without a copy', () => {
    expect([...grey].map((each) => each.toUint8()[0])).toEqual([5, 55, 105, 155, 205]);
    const values = new ImageBatch(Float32Array.of(-1, 0, 1, 2), [2, 1, 1, 2]);
    const second = values.slice(1);
    expect(second.shape).toEqual([1, 1, 1, 2]);
    second.data[0] = 0.5;
    expect(values.data[2]).toBe(0.5);
    expect(grey.slice(1, 4).count).toBe(3);
    for (const [first, end] of [
      [-1, 1],
      [4, 6],
      [2, 2],
      [0.5, 1],
    ] as const) {
      expect(() => grey.slice(first, end)).toThrow(/are not among the 5/);
    }
  });

  it('stand beside each other in a grid, black between them', () => {
    const whole = grey.grid();
    expect(whole.shape).toEqual([1, 1, 6, 10]);
    const at = (x: number, y: number): number => whole.toUint8()[y * 10 + x]!;
    expect([at(0, 0), at(1, 1), at(4, 0), at(8, 1), at(0, 4), at(4, 5)]).toEqual([5, 5, 55, 105, 155, 205]);
    expect([at(2, 0), at(0, 2), at(8, 4)]).toEqual([0, 0, 0]);
    expect(grey.grid({ columns: 5, gap: 0 }).shape).toEqual([1, 1, 2, 10]);
    expect(grey.grid({ columns: 1, gap: 1 }).shape).toEqual([1, 1, 14, 2]);
    const values = new ImageBatch(new Float32Array(8).fill(1), [2, 1, 2, 2], [0, 1]).grid();
    expect([...values.data.subarray(0, 6)]).toEqual([1, 1, 0, 0, 1, 1]);
    expect([...new ImageBatch(new Float32Array(8).fill(1), [2, 1, 2, 2]).grid().data.subarray(2, 4)]).toEqual([-1, -1]);
  });

  it('become one PNG, as large as is wished', () => {
    const png = decode(colours.toPng());
    expect(png).toMatchObject({ width: 8, height: 2, channels: 3, depth: 8 });
    expect([...png.data.subarray(0, 6)]).toEqual([0, 6, 12, 1, 7, 13]);
    expect([...png.data.subarray(15, 18)]).toEqual([18, 24, 30]);
    const large = decode(grey.toPng({ scale: 3, columns: 5, gap: 1 }));
    expect(large).toMatchObject({ width: 34, height: 6 });
    const row = [...large.data.subarray(5 * 34, 5 * 34 + 14)];
    expect(row).toEqual([5, 5, 5, 5, 5, 5, 0, 55, 55, 55, 55, 55, 55, 0]);
    expect(() => grey.toPng({ scale: 65 })).toThrow(/scale is 65, it has to be an integer from 1 to 64/);
    expect(() => grey.toPng({ columns: 1, gap: 30_000 })).toThrow(/a side has at most 65535/);
  });

  it('have the defaults of the facts', () => {
    const { scale, gap } = pictureOptionFacts;
    expect(grey.toPng()).toEqual(grey.toPng({ scale: scale.standard, gap: gap.standard }));
    for (const other of [{ scale: scale.standard + 1 }, { gap: gap.standard + 1 }]) {
      expect(grey.toPng()).not.toEqual(grey.toPng(other));
    }
  });

  it('have texts below them, white, and cut where there is no room', () => {
    const blank = new ImageBatch(new Uint8Array(2 * 13 * 4).fill(9), [2, 1, 4, 13]);
    const { width, height, data } = decode(blank.toPng({ labels: [7], gap: 0, columns: 2 }));
    expect([width, height]).toEqual([26, 13]);
    const lines = Array.from({ length: 7 }, (_, y) =>
      Array.from({ length: 13 }, (_, x) => (data[(5 + y) * 26 + x] === 255 ? '#' : '.')).join(''),
    );
    expect(lines).toEqual([
      '....#####....',
      '........#....',
      '.......#.....',
      '......#......',
      '.....#.......',
      '.....#.......',
      '.....#.......',
    ]);
    const right = Array.from({ length: 13 }, (_, y) => [...data.subarray(y * 26 + 13, (y + 1) * 26)]);
    expect(
      right
        .slice(4)
        .flat()
        .every((level) => level === 0),
    ).toBe(true);
    const cut = blank.toPng({ labels: ['1234567'] });
    expect(cut).toEqual(blank.toPng({ labels: ['12'] }));
    expect(() => blank.toPng({ labels: ['a', 'b', 'c'] })).toThrow(/labels has 3 texts for 2 images/);
    expect(() => blank.toPng({ labels: [null as never] })).toThrow(/a label is null/);
  });

  it.each([
    [10, '1'],
    [11, '12'],
    [16, '12'],
    [17, '123'],
  ])('of %i pixels have room for %s', (width, shown) => {
    const blank = new ImageBatch(new Uint8Array(width), [1, 1, 1, width]);
    expect(blank.toPng({ labels: ['1234'] })).toEqual(blank.toPng({ labels: [shown] }));
    expect(blank.toPng({ labels: ['1234'] })).not.toEqual(blank.toPng({ labels: [shown.slice(0, -1)] }));
  });

  it.each([
    [55, '1', 1],
    [111, '1', 1],
    [112, '1', 2],
    [168, '1', 3],
    // The longest text stays whole: 18 letters of 6 dots take 107 pixels, of twice the size 214.
    [213, '123456789012345678', 1],
    [214, '123456789012345678', 2],
    [112, '', 2],
  ])('of %i pixels have the text %j in letters of %i times the size', (width, text, size) => {
    const { levels, shape } = captioned(new Uint8Array(2 * width), [2, 1, 1, width], ['1', text]);
    expect(shape).toEqual([2, 1, 1 + 9 * size, width]);
    // The foot of the 1 is three dots wide and one high.
    const white = levels.slice(0, width * (1 + 9 * size)).filter((level) => level === 255).length;
    expect(white).toBe(10 * size * size);
  });

  it('have the same text in all of their channels', () => {
    const ofGrey = captioned(new Uint8Array(2 * 13), [2, 1, 1, 13], ['a', 7]);
    const { levels, shape } = captioned(new Uint8Array(2 * 3 * 13), [2, 3, 1, 13], ['a', 7]);
    expect(shape).toEqual([2, 3, 10, 13]);
    for (let plane = 0; plane < 6; ++plane) {
      const image = Math.floor(plane / 3);
      const own = levels.subarray(plane * 130, (plane + 1) * 130);
      expect(own).toEqual(ofGrey.levels.subarray(image * 130, (image + 1) * 130));
    }
  });
});

describe('files of images', () => {
  it('are what their names say, in folders that are made', async () => {
    const path = (name: string): string => join(folder, name);
    await colours.save(path('a/b/grid.PNG'), { scale: 2 });
    expect(readFileSync(path('a/b/grid.PNG'))).toEqual(Buffer.from(colours.toPng({ scale: 2 })));
    await grey.save(path('digits'), { labels: [1, 2], scale: 4 });
    expect(readdirSync(path('digits'))).toEqual(['00000.png', '00001.png', '00002.png', '00003.png', '00004.png']);
    expect(readFileSync(path('digits/00001.png'))).toEqual(Buffer.from(grey.slice(1).toPng({ labels: [2], scale: 4 })));
    expect(readFileSync(path('digits/00004.png'))).toEqual(Buffer.from(grey.slice(4).toPng({ scale: 4 })));
    await grey.save(path('tensors.safetensors'));
    const { data, shape } = await readFloats(await readSafetensorsHeader(path('tensors.safetensors')), 'images');
    expect([shape, data]).toEqual([[5, 1, 2, 2], grey.data]);
  });

  it.each(['later.png', 'later'])('hold in %s what was there when the call was made', async (name) => {
    const values = Float32Array.from({ length: 13 }, () => 0.5);
    const [labels, texts] = [['12'], { Author: 'first' }];
    const images = new ImageBatch(values, [1, 1, 1, 13]);
    const expected = images.toPng({ labels, texts });
    const path = join(folder, name);
    const saving = images.save(path, { labels, texts });
    values.fill(-1);
    labels[0] = '3';
    texts.Author = 'second';
    await saving;
    expect(readFileSync(name === 'later' ? join(path, '00000.png') : path)).toEqual(Buffer.from(expected));
  });

  it('of another kind are refused', async () => {
    await expect(grey.save(join(folder, 'x.jpg'))).rejects.toMatchObject({ code: 'ERR_DPM_ARGUMENT' });
    mkdirSync(join(folder, 'taken.png'));
    await expect(grey.save(join(folder, 'taken.png'))).rejects.toMatchObject({ code: 'ERR_DPM_FILE' });
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});
