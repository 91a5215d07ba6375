/** Pattern of the sides of images in pixels, width and height, as `768x512`. */
export const SIZE = '^[1-9][0-9]{0,3}x[1-9][0-9]{0,3}$';

/** The sides of a size. */
export function sidesOf(size: string): { width: number; height: number } {
  const [width = 0, height = 0] = size.split('x').map(Number);
  return { width, height };
}
