import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Stats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';

import { DpmError } from 'dpm-native';
import Type, { type Static } from 'typebox';
import { parse } from 'yaml';

import { type Client, type Quota, scopes, unlimited } from '../base/client.js';
import { checked } from '../base/schema.js';
import { quotaFields } from '../config/settings.js';

const tokenSchema = Type.Array(
  Type.Object(
    {
      name: Type.String({ minLength: 1, maxLength: 64, pattern: '^[\\w.-]+$' }),
      sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
      scopes: Type.Array(Type.Enum(scopes), { uniqueItems: true }),
      weight: Type.Optional(Type.Number({ minimum: 1e-6, maximum: 1e6 })),
      requestsPerMinute: Type.Optional(Type.Integer({ minimum: 1, maximum: 1e6 })),
      unfinishedJobs: Type.Optional(quotaFields.unfinishedJobs.schema),
      unfinishedSamples: Type.Optional(quotaFields.unfinishedSamples.schema),
      resultBytes: Type.Optional(quotaFields.resultBytes.schema),
    },
    { additionalProperties: false },
  ),
);

/** Milliseconds between two looks at the file, as one at every request would be a notable part of a short one. */
const EVERY = 1000;

/** The limit for a token without one of its own. */
const REQUESTS_PER_MINUTE = 600;

interface Entry {
  hash: Buffer;
  client: Client;
}

/**
 * True where more than this process may read a file. One of root's may be read by its group: so Kubernetes mounts a secret for the group
 * of a pod.
 */
export function isOpenToOthers({ uid, mode }: Pick<Stats, 'uid' | 'mode'>): boolean {
  // Windows keeps these rights in lists that Node does not see.
  if (process.platform === 'win32') return false;
  return (mode & (uid === 0 && process.getuid?.() !== 0 ? 0o037 : 0o077)) !== 0;
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

/** The tokens of a file, which has only their hashes. It is read again within a second after it has changed. */
export class Tokens {
  readonly #path: string;
  readonly #quota: Quota;
  #entries: readonly Entry[] = [];
  #changed = -1;
  #lookedAt = -Infinity;

  private constructor(path: string, quota: Quota) {
    this.#path = path;
    this.#quota = quota;
  }

  /**
   * @param quota - The limits of tokens without ones of their own.
   * @throws {@link DpmError} `ERR_DPM_FILE` and `ERR_DPM_CONFIG` naming the file, also where other users may read it.
   */
  static async open(path: string, quota: Quota = unlimited): Promise<Tokens> {
    const tokens = new Tokens(path, quota);
    await tokens.refresh();
    return tokens;
  }

  /** Reads the file if it has changed, at most once in a second. If it is wrong, the tokens stay as they are. */
  async refresh(): Promise<void> {
    const now = performance.now();
    if (now - this.#lookedAt < EVERY) return;
    this.#lookedAt = now;
    const file = await stat(this.#path).catch((cause: unknown) => {
      throw new DpmError('ERR_DPM_FILE', `cannot read the tokens ${this.#path}`, { cause });
    });
    if (file.mtimeMs === this.#changed) return;
    if (isOpenToOthers(file)) {
      throw new DpmError('ERR_DPM_CONFIG', `others may read the tokens ${this.#path}: chmod 600 ${this.#path}`);
    }
    const listed: unknown = parse(await readFile(this.#path, 'utf8'));
    const entries = checked(tokenSchema, listed, `the tokens ${this.#path}`).map((token) =>
      entryOf(token, this.#quota),
    );
    const names = new Set(entries.map(({ client }) => client.name));
    if (names.size < entries.length) {
      throw new DpmError('ERR_DPM_CONFIG', `the tokens ${this.#path} have a name twice`);
    }
    this.#entries = entries;
    this.#changed = file.mtimeMs;
  }

  /** Finds the client of a token; undefined where there is none. It takes as long for every token. */
  find(token: string): Client | undefined {
    const hash = sha256(token);
    let found: Client | undefined;
    for (const entry of this.#entries) if (timingSafeEqual(entry.hash, hash)) found = entry.client;
    return found;
  }
}

function entryOf(token: Static<typeof tokenSchema>[number], standard: Quota): Entry {
  const { name, sha256: hash, scopes: granted, weight = 1, requestsPerMinute = REQUESTS_PER_MINUTE } = token;
  const quota = {
    unfinishedJobs: token.unfinishedJobs ?? standard.unfinishedJobs,
    unfinishedSamples: token.unfinishedSamples ?? standard.unfinishedSamples,
    resultBytes: token.resultBytes ?? standard.resultBytes,
  };
  return {
    hash: Buffer.from(hash, 'hex'),
    client: { name, scopes: new Set(granted), weight, requestsPerMinute, quota },
  };
}

/** A new token of 256 random bits, and its entry for the file. */
export function newToken(name: string): { token: string; entry: string } {
  const token = randomBytes(32).toString('base64url');
  return {
    token,
    entry: `- { name: ${name}, sha256: ${sha256(token).toString('hex')}, scopes: [sample, jobs, infer] }`,
  };
}
