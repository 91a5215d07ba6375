import { randomUUID } from 'node:crypto';

import type { Job } from '../../src/jobs/job.js';

/** A job of 10 samples in chunks of 4, 4 and 2. */
export function jobOf({ body, ...fields }: Partial<Job> = {}): Job {
  return {
    id: randomUUID(),
    tenant: '',
    weight: 1,
    createdAt: new Date().toISOString(),
    digest: 'ab'.repeat(32),
    engine: 'cpu-test',
    asked: 'cd'.repeat(32),
    shape: [1, 2, 2],
    range: [-1, 1],
    rows: 100,
    body: { model: 'digits', count: 10, chunk: 4, seed: '7', ...body },
    ...fields,
  };
}
