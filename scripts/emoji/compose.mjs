// Pictures: an emoji on a background, or one in each half.
import { paint } from './drawings.mjs';
import { styles } from './packages.mjs';

/** Backgrounds by their names in captions. */
export const colours = {
  red: [222, 70, 66],
  orange: [246, 150, 58],
  yellow: [250, 216, 84],
  green: [96, 186, 102],
  blue: [82, 140, 226],
  purple: [150, 100, 206],
  pink: [250, 172, 202],
  white: [255, 255, 255],
};

/** Share of the pictures with two emoji. */
const HALVES = 0.2;

/** Sides of drawings and where they may lie, as parts of the picture's side. */
const whole = { least: 0.8, most: 0.95, shift: 3 / 64 };
const half = { least: 26 / 64, most: 30 / 64, shift: 6 / 64 };

/** Nothing of what pictures may show. */
export const nothing = { inStyles: [], onColours: [] };

/** What pictures may show: drawings by style, and the backgrounds of each emoji, without what is held out. */
export class Choices {
  #drawings;
  #byStyle;
  #unseen;

  constructor(drawings, { inStyles, onColours }) {
    const missing = new Map(inStyles.map(({ emoji, style }) => [emoji, style]));
    this.#drawings = drawings.filter(({ emoji, style }) => missing.get(emoji) !== style);
    this.#byStyle = new Map(
      Object.keys(styles).map((name) => [name, this.#drawings.filter(({ style }) => style === name)]),
    );
    this.#unseen = new Map(onColours.map(({ emoji, colours: unseen }) => [emoji, unseen]));
  }

  /**
   * Draws what a picture shows: its drawings, from the left, their style and the background.
   *
   * @param halves - Share of the pictures with two emoji.
   */
  draw(random, halves = HALVES) {
    const first = random.pick(this.#drawings);
    const { style } = first;
    const colour = random.pick(Object.keys(colours).filter((name) => this.#isSeen(first, name)));
    if (!random.chance(halves)) return { shown: [first], style, colour };
    for (;;) {
      const second = random.pick(this.#byStyle.get(style));
      if (second.emoji !== first.emoji && this.#isSeen(second, colour))
        return { shown: [first, second], style, colour };
    }
  }

  #isSeen({ emoji }, colour) {
    return this.#unseen.get(emoji)?.includes(colour) !== true;
  }
}

/** Place of a drawing inside a part of the picture, near its middle: `across` and `down` go from -1 to 1. */
function place(size, { side, across, down }, { shift }, [from, width]) {
  const near = (room, where) => room / 2 + Math.min(size * shift, room / 2) * where;
  return { side, left: from + near(width - side, across), top: near(size - side, down) };
}

function placed(random, size, bounds, part) {
  const side = size * random.between(bounds.least, bounds.most);
  const [across, down] = [random.between(-1, 1), random.between(-1, 1)];
  return place(size, { side, across, down }, bounds, part);
}

/** Where a drawing that is alone may lie, or the left one of two, at equal steps between the ends of what {@link compose} draws. */
export function* placesOf(size, isHalf) {
  const bounds = isHalf ? half : whole;
  for (const share of [0, 1 / 3, 2 / 3, 1]) {
    const side = size * (bounds.least + share * (bounds.most - bounds.least));
    for (const across of [-1, 0, 1]) {
      for (const down of isHalf ? [-1, -0.5, 0, 0.5, 1] : [-1, 0, 1]) {
        yield place(size, { side, across, down }, bounds, [0, isHalf ? size / 2 : size]);
      }
    }
  }
}

/** Paints drawings at their places on a background: levels [3, size, size]. */
export function paintAt(size, colour, shown) {
  const picture = new Uint8Array(3 * size * size);
  colours[colour].forEach((level, c) => picture.fill(level, c * size * size, (c + 1) * size * size));
  for (const { drawing, place: at } of shown) paint(picture, size, drawing, at);
  return picture;
}

/** Paints what was drawn: levels [3, size, size]. */
export function compose(random, size, { shown, colour }) {
  const width = size / shown.length;
  const bounds = shown.length === 1 ? whole : half;
  const at = shown.map((drawing, i) => ({ drawing, place: placed(random, size, bounds, [i * width, width]) }));
  return paintAt(size, colour, at);
}
