import { expect } from 'vitest';

import { DpmError } from '../../lib/base/errors.js';

/** The error that a promise is rejected with; fails where it is not. */
export async function failure(work: Promise<unknown>): Promise<DpmError> {
  const error: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DpmError);
  return error as DpmError;
}
