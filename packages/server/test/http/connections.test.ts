// Tests of connections whose client does not read.
import { EventEmitter } from 'node:events';

import type { FastifyReply } from 'fastify';
import { expect, it, vi } from 'vitest';

import { endWhereStalled } from '../../src/http/connections.js';

it.each([
  ['is still being made', 0, 0],
  ['is not read', 1, 1],
])('a connection that is idle while its answer %s', (_, writableLength, times) => {
  const raw = new EventEmitter();
  const destroy = vi.fn();
  endWhereStalled({ raw } as unknown as FastifyReply);
  raw.emit('timeout', { writableLength, destroy });
  expect(destroy).toHaveBeenCalledTimes(times);
});
