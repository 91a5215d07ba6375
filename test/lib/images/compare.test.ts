// Distances of images against those of scikit-image 0.26: structural_similarity with gaussian_weights, sigma 1.5 and
// use_sample_covariance false, peak_signal_noise_ratio of data range 1.
import { describe, expect, it } from 'vitest';

import { compareImages } from '../../../lib/images/compare.js';
import { ImageBatch } from '../../../lib/images/image-batch.js';

const shape = [2, 3, 20, 17] as const;

/** Values 0 to 1 of a pattern, with one of another frequency on it or without, put into a range. */
function pattern(isOther: boolean, [black, white]: readonly [number, number]): ImageBatch {
  const data: number[] = [];
  const [count, channels, height, width] = shape;
  for (let n = 0; n < count; ++n) {
    for (let c = 0; c < channels; ++c) {
      for (let y = 0; y < height; ++y) {
        for (let x = 0; x < width; ++x) {
          const base = 0.5 + 0.4 * Math.sin(0.3 * x + 0.2 * n) * Math.cos(0.25 * y + c);
          const value = isOther ? base + 0.1 * Math.cos(0.9 * x * (n + 1) + 0.7 * y + c) : base;
          data.push(black + value * (white - black));
        }
      }
    }
  }
  return new ImageBatch(Float32Array.from(data), shape, [black, white]);
}

describe('compareImages', () => {
  it.each([[[-1, 1] as const], [[0, 1] as const]])('is what scikit-image finds, of images in %j', (range) => {
    const { l2, psnr, ssim } = compareImages(pattern(false, range), pattern(true, range));
    const expected = {
      l2: [2.2582970473089925, 2.2581059102772927],
      psnr: [23.010380383711567, 23.01111556840597],
      ssim: [0.8023685600230187, 0.8100501121761886],
    };
    for (const n of [0, 1]) {
      expect(l2[n]).toBeCloseTo(expected.l2[n]!, 5);
      expect(psnr[n]).toBeCloseTo(expected.psnr[n]!, 4);
      expect(ssim[n]).toBeCloseTo(expected.ssim[n]!, 5);
    }
  });

  it('of an image with itself is 0, 100 dB and 1', () => {
    const images = pattern(false, [-1, 1]);
    const { l2, psnr, ssim } = compareImages(images, images);
    expect([...l2, ...psnr]).toEqual([0, 0, 100, 100]);
    for (const value of ssim) expect(value).toBeCloseTo(1, 12);
  });

  it('goes by what is seen: values beyond white are white', () => {
    const white = new ImageBatch(new Float32Array(144).fill(1), [1, 1, 12, 12]);
    const brighter = new ImageBatch(new Float32Array(144).fill(3), [1, 1, 12, 12]);
    expect(compareImages(white, brighter).l2[0]).toBe(0);
  });

  it('refuses other shapes, images below its window and what are no images', () => {
    const of = (side: number): ImageBatch => new ImageBatch(new Float32Array(side * 11), [1, 1, 11, side]);
    expect(() => compareImages(of(11), of(12))).toThrow('[1, 1, 11, 11] and [1, 1, 11, 12]');
    expect(() => compareImages(of(10), of(10))).toThrow('11 x 10');
    expect(compareImages(of(11), of(11)).ssim[0]).toBeCloseTo(1, 12);
    expect(() => compareImages([] as never, of(11))).toThrow('the images');
    expect(() => compareImages(of(11), [] as never)).toThrow('the other images');
  });
});
