// Options of the measurements on the command line.

/** The names that an option, a list with commas, has. */
export function listed(options, option, known) {
  const names = options[option].split(',');
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`--${option} names ${unknown}, there are ${known.join(', ')}`);
  return names;
}
