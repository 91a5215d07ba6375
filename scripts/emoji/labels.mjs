// Labels of pictures, for a classifier that judges what a model has drawn.

/** Gives the names of classes, code points of emoji, and the label of a picture of one. */
export function labelsOf(emoji) {
  const names = emoji.map(({ hexcode }) => hexcode);
  const places = new Map(names.map((name, place) => [name, place]));
  return { names, of: ({ emoji: [hexcode] }) => places.get(hexcode) };
}
