/** Wraps a generator so that leaving it calls `end` at once; otherwise it would return only after its current wait. */
export function endingAtReturn<T, R>(
  generator: AsyncGenerator<T, R, void>,
  end: () => void,
): AsyncGenerator<T, R, void> {
  const [leave, fail] = [generator.return.bind(generator), generator.throw.bind(generator)];
  return Object.assign(generator, {
    return(value: R | PromiseLike<R>) {
      end();
      return leave(value);
    },
    throw(error: unknown) {
      end();
      return fail(error);
    },
  });
}
