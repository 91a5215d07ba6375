// An S3 server of a test's own: moto, in memory.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { packagePath } from '../../../../../test/support/temporary.js';

const library = packagePath('.toolchain/s3');

/** True where the server is installed, as `scripts/setup --server` does. */
export const hasS3 = existsSync(library);

/** A part of a signature whose service is all that the server reads of it. */
const UNSIGNED = 'AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0';

/** Credentials of a user. */
export interface AccessKey {
  accessKeyId: string;
  secretAccessKey: string;
}

/** A server that speaks S3 and forgets everything at its end. */
export class S3Server {
  readonly endpoint: string;
  readonly #process: ChildProcess;

  private constructor(running: ChildProcess, endpoint: string) {
    this.#process = running;
    this.endpoint = endpoint;
  }

  static async start(): Promise<S3Server> {
    const env = { ...process.env, PYTHONPATH: library, PYTHONDONTWRITEBYTECODE: '1', PYTHONUNBUFFERED: '1' };
    const python = packagePath('.toolchain/python/bin/python3');
    const running = spawn(python, ['-m', 'moto.server', '--port', '0'], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let told = '';
    for await (const line of createInterface({ input: running.stderr })) {
      told += `${line}\n`;
      const [, endpoint] = /Running on (http:\/\/[\d.:]+)/.exec(line) ?? [];
      if (endpoint === undefined) continue;
      // It logs every request.
      running.stderr.resume();
      return new S3Server(running, endpoint);
    }
    throw new Error(`the S3 server does not start: ${told}`);
  }

  /** Adds a user who may do what a policy allows. */
  async addUser(name: string, policy: object): Promise<AccessKey> {
    await this.#ask({ Action: 'CreateUser', UserName: name });
    await this.#ask({
      Action: 'PutUserPolicy',
      UserName: name,
      PolicyName: 'any',
      PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [policy] }),
    });
    const answer = await this.#ask({ Action: 'CreateAccessKey', UserName: name });
    const field = (tag: string): string => new RegExp(`<${tag}>([^<]+)<`).exec(answer)?.[1] ?? '';
    return { accessKeyId: field('AccessKeyId'), secretAccessKey: field('SecretAccessKey') };
  }

  /** Makes the server check signatures and policies from now on, or no longer. */
  async check(isChecking: boolean): Promise<void> {
    const body = isChecking ? '0' : 'inf';
    await fetch(`${this.endpoint}/moto-api/reset-auth`, { method: 'POST', body });
  }

  async #ask(fields: Record<string, string>): Promise<string> {
    const body = new URLSearchParams({ Version: '2010-05-08', ...fields });
    const answer = await fetch(this.endpoint, { method: 'POST', headers: { authorization: UNSIGNED }, body });
    if (!answer.ok) throw new Error(`${fields.Action ?? ''}: ${await answer.text()}`);
    return answer.text();
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}
