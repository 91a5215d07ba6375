import type { Redis } from 'ioredis';

import { Readers } from '../readers.js';
import { CHANGED } from './ledger-script.js';

/** Listens for changed jobs by one subscription, and tells all who wait for them, however many these are. */
export class Watcher {
  readonly #readers = new Readers();
  readonly #redis: Redis;
  #client: Redis | undefined;
  #isClosed = false;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** Waits for a change of a job, and tells whether there may have been one. */
  wait(id: string, signal: AbortSignal): Promise<boolean> {
    if (this.#isClosed) return Promise.resolve(true);
    this.#client ??= this.#listen();
    return this.#readers.wait(id, signal);
  }

  #listen(): Redis {
    const client = this.#redis.duplicate({
      enableOfflineQueue: true,
      maxRetriesPerRequest: null,
      lazyConnect: false,
      commandTimeout: undefined,
    });
    // The connection that it is a copy of reports these errors.
    client.on('error', () => undefined);
    client.on('message', (_, id: string) => {
      this.#readers.tell(id);
    });
    const lookAgain = (): void => {
      this.#readers.tellAll();
    };
    // Changes before the subscription, and while there is none, are announced to nobody here.
    client.on('close', lookAgain);
    client.on('ready', lookAgain);
    client.subscribe(CHANGED).then(lookAgain, () => undefined);
    return client;
  }

  /** Ends all waits. */
  close(): void {
    this.#isClosed = true;
    this.#client?.disconnect();
    this.wakeAll();
  }

  /** Ends the waits that there are. */
  wakeAll(): void {
    this.#readers.tellAll();
  }
}
