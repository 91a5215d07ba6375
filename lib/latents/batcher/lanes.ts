import { DpmError } from '../../base/errors.js';
import { bothCounts, noCounts } from '../../batch/batches.js';
import type { BatchCounts } from '../../engine/binding.js';
import type { GivenLora } from '../../checkpoint/pipelines/lora/with-loras.js';
import { KnownPrompts } from '../known-prompts.js';
import { CURRENT, type PromptedNetworks, type SwappedNetworks, type TakenNetworks } from '../swapped-networks.js';
import { Lane, type LaneParts, type LanePace, type LaneSize } from './lane.js';

/** What lanes have in common. */
export interface LanesParts extends Pick<LaneParts, 'parts' | 'admission' | 'beside' | 'options'> {
  readonly networks: SwappedNetworks;
  /** Most lanes. */
  readonly most: number;
  /** Most texts that each lane's networks keep while nobody uses them. */
  readonly promptSlots: number;
}

interface Entry {
  readonly lane: Promise<Lane>;
  users: number;
}

/** Tells whether a lane's networks are those that the pipeline had before those of now, which no request takes any more. */
function isOutdated(lane: string, now: string): boolean {
  const [kind, number] = now.split(' ');
  const [itsKind, itsNumber] = lane.split(' ');
  return kind === CURRENT && itsKind === CURRENT && itsNumber !== number;
}

/** The lanes of a batcher, each opened for the first request of its size and additions. */
export class Lanes {
  readonly #with: LanesParts;
  /** Entries by size and additions, the one that was used last at the end. */
  readonly #entries = new Map<string, Entry>();
  readonly #open = new Set<Lane>();
  readonly #paces = new Map<string, LanePace>();
  readonly #prompts = new WeakMap<PromptedNetworks, KnownPrompts>();
  /** Counts of the lanes that were closed. */
  #closed: BatchCounts = noCounts;
  #refusal: string | null = null;

  constructor(parts: LanesParts) {
    this.#with = parts;
  }

  /**
   * Calls `work` with the lane of a size and of additions, null for those that the pipeline has now. It stays open until the
   * work is done.
   *
   * @throws {@link DpmError} `ERR_DPM_OVERLOADED` if there are as many lanes as there may be and none is idle, `ERR_DPM_CLOSED`,
   * and the errors of opening.
   */
  async using<T>(loras: readonly GivenLora[] | null, size: LaneSize, work: (lane: Lane) => Promise<T>): Promise<T> {
    this.requireOpen();
    const { networks } = this.#with;
    const taken = loras === null ? networks.take() : await networks.takeWith(loras);
    const entry = await this.#entryOf(taken, size);
    try {
      const lane = await entry.lane;
      this.requireOpen();
      return await work(lane);
    } finally {
      --entry.users;
    }
  }

  /** @throws {@link DpmError} `ERR_DPM_CLOSED` once requests are refused. */
  requireOpen(): void {
    if (this.#refusal !== null) throw new DpmError('ERR_DPM_CLOSED', this.#refusal);
  }

  /** Takes in how long the steps of all lanes take now, and gives their counts together. */
  observe(): BatchCounts {
    return [...this.#open].map(({ requests }) => requests.observe()).reduce(bothCounts, this.#closed);
  }

  /** Number of bytes that the batches of all lanes have allocated. */
  get bytes(): number {
    return [...this.#open].reduce((sum, { batches }) => sum + batches.bytes, 0);
  }

  /** Number of texts that are kept encoded, and of samples whose texts are in use. */
  get held(): { prompts: number; prompted: number } {
    const lanes = [...this.#open];
    const known = new Set(lanes.map(({ prompts }) => prompts));
    return {
      prompts: [...known].reduce((sum, { count }) => sum + count, 0),
      prompted: lanes.reduce((sum, { seats }) => sum + seats, 0),
    };
  }

  /** Number of lanes. */
  get count(): number {
    return this.#entries.size;
  }

  /** Refuses new requests; `refusal` is the message of their errors. */
  refuse(refusal: string): void {
    this.#refusal ??= refusal;
    for (const { requests } of this.#open) requests.refuse(refusal);
  }

  /** Ends all requests with an error, and closes the lanes. */
  async close(error: DpmError): Promise<void> {
    for (const { requests } of this.#open) requests.end(error);
    await Promise.all([...this.#entries.values()].map((entry) => this.#closeLane(entry)));
    this.#entries.clear();
  }

  /** Finds or makes the entry of networks and a size, which holds the networks from then on, and counts its user. */
  async #entryOf(taken: TakenNetworks, size: LaneSize): Promise<Entry> {
    // Meanwhile it may have been closed, and nobody would close another lane.
    if (this.#refusal !== null) {
      await taken.release();
      this.requireOpen();
    }
    const key = `${taken.key} ${size.height} ${size.width}`;
    const known = this.#entries.get(key);
    if (known !== undefined) {
      ++known.users;
      this.#entries.delete(key);
      this.#entries.set(key, known);
      await taken.release();
      return known;
    }
    const idle = [...this.#entries].filter(([, { users }]) => users === 0);
    const isFull = this.#entries.size >= this.#with.most;
    if (isFull && idle.length === 0) {
      await taken.release();
      const { most, admission } = this.#with;
      throw new DpmError(
        'ERR_DPM_OVERLOADED',
        `requests of ${most} sizes and sets of LoRAs are running, the most that may be at once (batches)`,
        { retryAfterMs: Math.max(1, Math.ceil(admission.backlog)) },
      );
    }
    const outdated = idle.filter(([each]) => isOutdated(each, taken.key));
    const left = outdated.length > 0 ? outdated : isFull ? idle.slice(0, 1) : [];
    for (const [each] of left) this.#entries.delete(each);
    const entry: Entry = {
      lane: this.#opened(
        taken,
        size,
        left.map(([, each]) => each),
      ),
      users: 1,
    };
    this.#entries.set(key, entry);
    entry.lane.catch(() => this.#entries.get(key) === entry && this.#entries.delete(key));
    return entry;
  }

  async #opened(taken: TakenNetworks, size: LaneSize, left: readonly Entry[]): Promise<Lane> {
    try {
      await Promise.all(left.map((each) => this.#closeLane(each)));
      const { parts, admission, beside, options, promptSlots } = this.#with;
      const prompts = this.#prompts.get(taken.networks) ?? new KnownPrompts(taken.networks, promptSlots);
      this.#prompts.set(taken.networks, prompts);
      const sides = `${size.height} ${size.width}`;
      const pace = this.#paces.get(sides) ?? null;
      const lane = await Lane.open({ parts, taken, prompts, admission, beside, options, pace }, size);
      this.#paces.set(sides, lane.pace);
      this.#open.add(lane);
      return lane;
    } catch (error) {
      await taken.release();
      throw error;
    }
  }

  async #closeLane({ lane }: Entry): Promise<void> {
    const opened = await lane.catch(() => null);
    if (opened === null || !this.#open.has(opened)) return;
    await opened.close();
    this.#open.delete(opened);
    this.#closed = bothCounts(this.#closed, opened.batches.stats());
  }
}
