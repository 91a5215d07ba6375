// Captions: what a picture shows, in different words, all of them true.

const CAPTIONS = 3;

const article = (name) => (/^[aeiou]/.test(name) ? 'an' : 'a');

/** A name with its article, where it is that of one thing: neither a name of its own nor a plural, as far as can be told. */
function withArticle(label) {
  const [head] = label.split(/[:,]/);
  const isOne =
    /^[a-z]/.test(label) && !/(?:[^su]s|\b(?:people|men|women))$/.test(head) && !/\b(?:people|men|women)\b/.test(head);
  return isOne ? `${article(label)} ${label}` : label;
}

const named = (random, { label }) => (random.chance(0.4) ? withArticle(label) : label);

/** Some of the tags, in any order; only the name where there are too few to tell what it is. */
function tagged(random, emoji) {
  if (emoji.tags.length < 2) return named(random, emoji);
  return random
    .shuffled(emoji.tags)
    .slice(0, random.pick([2, 3, 4]))
    .join(' ');
}

/** Words for one emoji. */
function subject(random, emoji) {
  const kind = random.next();
  if (kind < 0.55) return named(random, emoji);
  if (kind < 0.75) return tagged(random, emoji);
  const more = emoji.tags.filter((tag) => !emoji.label.split(/[^\p{L}\p{N}]+/u).includes(tag));
  return [named(random, emoji), ...random.shuffled(more).slice(0, random.pick([1, 2]))].join(', ');
}

/** Words for two emoji, and how they lie. */
function subjects(random, [left, right]) {
  const [a, b] = [left, right].map((emoji) => (random.chance(0.75) ? named(random, emoji) : tagged(random, emoji)));
  const kind = random.next();
  if (kind < 0.45) return `${a} left of ${b}`;
  if (kind < 0.9) return `${b} right of ${a}`;
  return random.chance(0.5) ? `${a} and ${b}` : `${b} and ${a}`;
}

function caption(random, { shown, style, colour }) {
  const emoji = shown.map((drawing) => drawing.emoji);
  const who = emoji.length === 1 ? subject(random, emoji[0]) : subjects(random, emoji);
  const how = random.chance(0.75) ? `${style} style` : null;
  const long = random.chance(0.2);
  const where = random.chance(0.75) ? (long ? `on ${article(colour)} ${colour} background` : `on ${colour}`) : null;
  const joined = (separator, ...parts) => parts.filter((part) => part !== null).join(separator);
  const order = random.next();
  if (order < 0.4) return joined(', ', who, how, where);
  if (order < 0.8) return joined(', ', joined(' ', who, where), how);
  return joined(', ', how, joined(' ', who, where));
}

/** The question for what was drawn: its names, the style and the background, always in the same words. */
export function ask({ shown, style, colour }) {
  const [first, second] = shown.map((drawing) => withArticle(drawing.emoji.label));
  return `${second === undefined ? first : `${first} left of ${second}`}, ${style} style, on ${colour}`;
}

/** Different captions of what was drawn. */
export function captionsOf(random, drawn) {
  const found = new Set();
  // Style and background may be there or not, so that there are always enough.
  while (found.size < CAPTIONS) found.add(caption(random, drawn));
  return [...found];
}
