// What an engine in a process of its own does: it answers lines of JSON.
import { createInterface } from 'node:readline';

/**
 * Answers each line of the standard input, until it ends. A failure is answered with `{ error }`.
 *
 * @param operations - Functions by the `op` of the requests that they are given.
 */
export async function answerLines(operations) {
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    let reply;
    try {
      reply = await operations[request.op](request);
    } catch (error) {
      reply = { error: error.message };
    }
    console.log(JSON.stringify(reply));
  }
}
