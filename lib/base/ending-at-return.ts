/** A generator that is ended by `end` as soon as it is left, which by itself would only return when what it waits for has come. */
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
