/** Does work for each of many things, a few at once. All are done before the first error is thrown. */
export async function forEachOf<T>(
  things: readonly T[],
  atOnce: number,
  work: (thing: T) => Promise<void>,
): Promise<void> {
  const left = [...things];
  const errors: unknown[] = [];
  const take = async (): Promise<void> => {
    for (let thing = left.shift(); thing !== undefined; thing = left.shift()) {
      await work(thing).catch((error: unknown) => errors.push(error));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, take));
  if (errors.length > 0) throw errors[0];
}
