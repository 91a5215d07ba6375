import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';

import type { FastifyReply } from 'fastify';

import { failureOf, ServerError } from '../base/problem.js';

/** The status of the answer that ended a connection. */
const refused = new WeakMap<Socket, number>();

/** Answers bytes that are not a request, if the connection still allows it, and ends the connection. */
export function refuseConnection(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const told =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? new ServerError('ERR_DPM_HEADERS', 'the header is too large')
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? new ServerError('ERR_DPM_TIMEOUT', 'the request did not come in time')
        : new ServerError('ERR_DPM_ARGUMENT', 'this is no request of HTTP/1.1');
  const { problem } = failureOf(told, randomUUID());
  refused.set(socket, problem.status);
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}\r\nContent-Type: application/problem+json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** The status for a request whose connection ended before its answer: the status that ended it, or 499 where the client has left. */
export function unansweredStatus(socket: Socket): number {
  return refused.get(socket) ?? 499;
}

/**
 * Ends the connection of a client that does not read its answer. Node emits 'timeout' for any socket that is idle for a while, which is
 * fine while the answer is still being made.
 */
export function endWhereStalled(reply: FastifyReply): void {
  reply.raw.on('timeout', (socket: Socket) => {
    if (socket.writableLength > 0) socket.destroy();
  });
}
