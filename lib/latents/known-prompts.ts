import { throwIfAborted } from '../base/abort.js';
import { at } from '../base/arrays.js';
import type { PromptedNetworks } from './swapped-networks.js';
import type { SeenPrompt } from './prompted-network.js';
import type { EncodedPrompt, PromptText } from './prompts.js';
import type { GenerateCall } from './resolve-call.js';

/** A text, encoded, and as the U-Net sees it in every evaluation. */
export interface KnownPrompt {
  readonly seen: SeenPrompt;
  readonly prompt: EncodedPrompt;
}

/** How texts are encoded. */
type Encoding = Pick<GenerateCall, 'skippedLayers' | 'signal'>;

interface Entry<T> {
  readonly made: Promise<T>;
  users: number;
}

/** What was made of keys: of those that nobody uses the last used ones are kept. */
class Kept<T> {
  /** Entries by their keys, the one that was used last at the end. */
  readonly #entries = new Map<string, Entry<T>>();

  constructor(private readonly most: number) {}

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /** Takes what there is for a key, or makes it, until it is given back. */
  take(key: string, make: () => Promise<T>): { made: Promise<T>; giveBack: () => void } {
    const entry = this.#entries.get(key) ?? { made: make(), users: 0 };
    ++entry.users;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    // What could not be made is tried anew.
    entry.made.catch(() => this.#entries.get(key) === entry && this.#entries.delete(key));
    const giveBack = (): void => {
      --entry.users;
      this.#forgetIdle();
    };
    return { made: entry.made, giveBack };
  }

  get size(): number {
    return this.#entries.size;
  }

  #forgetIdle(): void {
    const idle = [...this.#entries].filter(([, { users }]) => users === 0);
    for (const [key] of idle.slice(0, Math.max(0, idle.length - this.most))) this.#entries.delete(key);
  }
}

const keyOf = ({ text, chunks }: PromptText, skippedLayers: number): string =>
  `${skippedLayers} ${chunks ?? ''} ${text}`;

/** Texts that networks have seen, each encoded once for all that use it. */
export class KnownPrompts {
  readonly #networks: PromptedNetworks;
  readonly #texts: Kept<KnownPrompt>;
  readonly #zeros: Kept<SeenPrompt>;

  /** @param most - Most texts that are kept while nobody uses them. */
  constructor(networks: PromptedNetworks, most = 0) {
    this.#networks = networks;
    this.#texts = new Kept(most);
    this.#zeros = new Kept(1);
  }

  /** Number of texts that are kept. */
  get count(): number {
    return this.#texts.size;
  }

  /**
   * Encodes those of some texts that are not known, at once.
   *
   * @param taken - Receives what gives each of the texts back.
   * @returns A function that gives each of the texts.
   */
  async seen(
    texts: readonly PromptText[],
    { skippedLayers, signal }: Encoding,
    taken: (() => void)[] = [],
  ): Promise<(text: PromptText) => KnownPrompt> {
    const wanted = new Map(texts.map((text) => [keyOf(text, skippedLayers), text]));
    const unknown = [...wanted].filter(([key]) => !this.#texts.has(key));
    const { encoders, unet } = this.#networks;
    const missing = unknown.map(([, text]) => text);
    const encoded = missing.length === 0 ? Promise.resolve([]) : encoders.encode(missing, skippedLayers);
    // One after the other, so that an abort ends the rest.
    let last: Promise<unknown> = encoded;
    const made = new Map(
      unknown.map(([key], i) => {
        const next = last.then(async () => {
          throwIfAborted(signal);
          const prompt = at(await encoded, i);
          return { prompt, seen: { context: await unet.prepare(prompt.hidden, 1), pooled: prompt.pooled } };
        });
        last = next;
        return [key, next];
      }),
    );
    const takes = [...wanted.keys()].map((key) => {
      const { made: text, giveBack } = this.#texts.take(key, () => made.get(key) ?? at<never>([], 0));
      taken.push(giveBack);
      return text.then((prompt) => [key, prompt] as const);
    });
    const known = new Map(await Promise.all(takes));
    return (text) => known.get(keyOf(text, skippedLayers)) ?? at<never>([], 0);
  }

  /** Gives the zeros that stand for no negative prompt, of as many tokens as a prompt has. */
  async zerosLike({ hidden, pooled }: EncodedPrompt): Promise<SeenPrompt> {
    const key = String(hidden.length);
    const { made, giveBack } = this.#zeros.take(key, async () => ({
      context: await this.#networks.unet.prepare(new Float32Array(hidden.length), 1),
      pooled: pooled && new Float32Array(pooled.length),
    }));
    giveBack();
    return made;
  }
}
