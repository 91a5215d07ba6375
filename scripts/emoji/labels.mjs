// Labels of pictures, for classifiers that judge what a model has drawn.
import { colours } from './compose.mjs';
import { styles } from './packages.mjs';

const looks = Object.keys(styles).flatMap((style) => Object.keys(colours).map((colour) => `${style} ${colour}`));

/**
 * Gives the names of classes, and the label of a picture: that of its emoji, by their code points, or that of its look, a style
 * and a background.
 *
 * @param what - `emoji` or `look`.
 */
export function labelsOf(what, emoji) {
  if (what === 'look') return { names: looks, of: ({ style, background }) => looks.indexOf(`${style} ${background}`) };
  if (what !== 'emoji') throw new Error(`--labels is '${what}', it has to be emoji or look`);
  const names = emoji.map(({ hexcode }) => hexcode);
  const places = new Map(names.map((name, place) => [name, place]));
  return { names, of: ({ emoji: [hexcode] }) => places.get(hexcode) };
}
