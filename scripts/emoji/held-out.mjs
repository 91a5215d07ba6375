// What no picture shows, so that it can be asked of a network that has not seen it.
import { colours } from './compose.mjs';
import { styles } from './packages.mjs';
import { kinds, Random } from './random.mjs';

/** Number of emoji that are seen in one style only, and of others that two of the backgrounds never have. */
const HELD_OUT = 150;

/** The choice is that of all data sets: networks of different seeds are then asked for the same. */
const SEED = 0;

/** Chooses, of the emoji that all styles have, those that are held out, and in what. */
export function holdOut(drawings) {
  const counts = new Map();
  for (const { emoji } of drawings) counts.set(emoji, (counts.get(emoji) ?? 0) + 1);
  const names = Object.keys(styles);
  const complete = [...counts].filter(([, count]) => count === names.length).map(([emoji]) => emoji);
  const random = new Random(SEED, kinds.heldOut);
  const order = random.shuffled(complete);
  const inStyles = order.slice(0, HELD_OUT).map((emoji) => ({ emoji, style: random.pick(names) }));
  const onColours = order.slice(HELD_OUT, 2 * HELD_OUT).map((emoji) => ({
    emoji,
    colours: random.shuffled(Object.keys(colours)).slice(0, 2),
  }));
  return { inStyles, onColours };
}

/** What is held out, as JSON. */
export function heldOutJson({ inStyles, onColours }) {
  const shown = ({ hexcode, emoji, label }) => ({ hexcode, emoji, label });
  return {
    styles: inStyles.map(({ emoji, style }) => ({ ...shown(emoji), unseen: style })),
    backgrounds: onColours.map(({ emoji, colours: unseen }) => ({ ...shown(emoji), unseen })),
  };
}
