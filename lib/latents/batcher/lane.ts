import { throwIfAborted } from '../../base/abort.js';
import { at } from '../../base/arrays.js';
import { centredRange } from '../../base/pixel-range.js';
import type { Admission } from '../../batch/admission.js';
import { Pace } from '../../batch/pace.js';
import type { Batches, RowSizes } from '../../batch/batches.js';
import type { Beside } from '../../batch/beside.js';
import type { Preparation } from '../../batch/demand.js';
import { openBatches, type BatcherCapacity } from '../../batch/open-batches.js';
import type { BatcherOptions, BatchRunOptions } from '../../batch/options.js';
import { Requests, type Served, type Watcher } from '../../batch/requests.js';
import { packRecords } from '../../program/pack.js';
import type { RunModel } from '../../run/resolve.js';
import type { ScriptNetwork } from '../../run/script-network.js';
import type { BegunProgram } from '../call-program.js';
import type { KnownPrompts } from '../known-prompts.js';
import { beginningOf, callDefaults, decodeLatents, type CallParts } from '../pipeline-call.js';
import { promptedHead } from '../prompted-head.js';
import { promptedNetwork } from '../prompted-network.js';
import { promptedSamples, requireRoomForSamples, rowsOfPrompt, withMaps } from '../prompted-samples.js';
import { resolveCall, type GenerateCall } from '../resolve-call.js';
import type { TakenNetworks } from '../swapped-networks.js';
import { Seats, SEATS } from './seats.js';

/** Sides of latents. */
export interface LaneSize {
  readonly height: number;
  readonly width: number;
}

/** What a lane measures when it is opened; lanes of one size have the same. */
export interface LanePace {
  readonly capacity: BatcherCapacity;
  /** Milliseconds of decoding one image. */
  readonly decoding: number;
}

/** What a lane is opened with. */
export interface LaneParts {
  readonly parts: Omit<CallParts, 'unet'>;
  readonly taken: TakenNetworks;
  /** Texts that these networks have seen. */
  readonly prompts: KnownPrompts;
  readonly admission: Admission;
  readonly beside: Beside;
  readonly options: BatcherOptions;
  /** What is known of lanes of this size; null: it is measured. */
  readonly pace: LanePace | null;
}

/** Weight of guidance with which a step is measured. */
const MEASURED_WEIGHT = 2;

/** A batch of images of one size, which networks with the same additions draw. */
export class Lane {
  readonly pace: LanePace;
  readonly requests: Requests;
  readonly batches: Batches;
  readonly prompts: KnownPrompts;
  readonly #parts: CallParts;
  readonly #with: LaneParts;
  readonly #seats: Seats;
  /** Evaluations of a sample that the measured curve counts as one row. */
  readonly #measuredRows: number;

  private constructor(lane: LaneParts, seats: Seats, model: RunModel, batches: Batches, pace: LanePace) {
    const { parts, taken, admission, beside } = lane;
    this.pace = pace;
    this.batches = batches;
    this.prompts = lane.prompts;
    this.#with = lane;
    this.#parts = { ...parts, unet: taken.networks.unet };
    this.#seats = seats;
    this.#measuredRows = rowsOfPrompt(taken.networks.unet, MEASURED_WEIGHT);
    const { capacity } = pace;
    const programs = { pack: packRecords };
    const own = new Pace(capacity.curve, capacity.rows);
    this.requests = new Requests({ model, batches, admission, programs, pace: own, beside });
  }

  /**
   * Loads the networks for a size, measures them if nothing is known of the size, and allocates the memory of a batch.
   *
   * @throws {@link DpmError} `ERR_DPM_OUT_OF_MEMORY`, and the errors of loading.
   */
  static async open(lane: LaneParts, { height, width }: LaneSize): Promise<Lane> {
    const { parts, taken, prompts, options, pace } = lane;
    const { unet } = taken.networks;
    const { vae, schedule } = parts;
    const seats = new Seats();
    const nets = new Map<string | null, ScriptNetwork>();
    const networkOf = (name: string | null): ScriptNetwork => {
      const head = promptedHead(unet, schedule, name);
      const network =
        nets.get(name) ?? promptedNetwork(unet, { height, width, sampleOf: seats.sampleOf }, { classes: SEATS, head });
      nets.set(name, network);
      return network;
    };
    const model: RunModel = {
      sampleShape: [vae.latentChannels, height, width],
      range: centredRange,
      labelForNone: undefined,
      network: (head) => Promise.resolve().then(() => networkOf(head)),
    };
    const call = emptyCall({ ...parts, unet }, { height, width });
    const given: (() => void)[] = [];
    const prompting = { ...taken.networks, ...parts.defaults };
    let opened: Batches | null = null;
    try {
      const { samples } = await promptedSamples(prompting, call, { known: prompts, taken: given });
      await requireRoomForSamples(unet, samples, call);
      const seat = seats.take(withMaps(samples, emptyMaps(unet, call)));
      const sizes = await sizesOf(unet, { height, width }, at(samples, 0).negative === null ? 1 : 2);
      const known = pace?.capacity.curve ?? null;
      const { batches, capacity } = await openBatches({ network: networkOf(null), sizes, least: 1, known }, options);
      opened = batches;
      seats.release(seat);
      const decoding = pace?.decoding ?? (await measuredDecoding(parts, call));
      return new Lane(lane, seats, model, batches, { capacity, decoding });
    } catch (error) {
      await opened?.close();
      throw error;
    } finally {
      for (const back of given) back();
    }
  }

  /** Number of samples whose prompts are held. */
  get seats(): number {
    return this.#seats.count;
  }

  /** Draws the latents of a call. */
  async perform(call: GenerateCall, begun: BegunProgram, options: BatchRunOptions, told: CallWatcher): Promise<Served> {
    const preparation = this.#prepared(call, begun, told);
    const served = await this.requests.perform({ find: () => ({ made: begun.program }) }, options, told, preparation);
    return { ...served, evaluations: served.evaluations * this.#measuredRows };
  }

  /** Describes what is done for a call beside its run. */
  #prepared(call: GenerateCall, begun: BegunProgram, told: CallWatcher): Preparation {
    const { taken } = this.#with;
    const { unet } = taken.networks;
    const { picture, output, guidance } = call;
    const given: (() => void)[] = [];
    const encodings = picture === null || picture.isEncoded ? 0 : 1;
    const decodings = output === 'images' ? 1 : 0;
    const begin = async (signal: AbortSignal): ReturnType<Preparation['begin']> => {
      const prompting = { ...taken.networks, ...this.#parts.defaults };
      // A text may be one that others wait for, too: the signal of one request does not end it.
      const { samples, truncated } = await promptedSamples(
        prompting,
        { ...call, signal: undefined },
        { known: this.prompts, taken: given },
      );
      throwIfAborted(signal);
      const { init, constrain, beside } = await beginningOf(this.#parts, { ...call, signal }, begun);
      throwIfAborted(signal);
      const labels = this.#seats.take(withMaps(samples, beside));
      given.push(() => {
        this.#seats.release(labels);
      });
      told.begun(signal, truncated);
      return {
        classLabels: labels,
        ...(call.seeds !== undefined && { seeds: call.seeds }),
        ...(init !== undefined && { init }),
        ...(constrain !== undefined && { constrain }),
      };
    };
    return {
      rows: guidance.map((weight) => rowsOfPrompt(unet, weight) / this.#measuredRows),
      besideEach: (encodings + decodings) * this.pace.decoding,
      bytes: [picture?.values, picture?.mask, call.init].reduce((sum, each) => sum + (each?.byteLength ?? 0), 0),
      isAlone: picture !== null && picture.mask !== null && unet.inChannels === unet.outChannels,
      begin,
      finish: () => told.done(),
      release() {
        for (const back of given.splice(0)) back();
      },
    };
  }

  /** Releases the batch, and the networks if nobody else has them. */
  async close(): Promise<void> {
    await this.batches.close();
    await this.requests.settled();
    await this.#with.taken.release();
  }
}

/** What is told of a call, and what it waits for at its end. */
export interface CallWatcher extends Watcher {
  /** Called before the run with the request's signal, and with the samples whose texts were cut. */
  begun(signal: AbortSignal, truncated: readonly boolean[]): void;
  /** Waits until all that came of the run is made. */
  done(): Promise<void>;
}

/** A call that draws an image of no text, whose steps are measured. */
function emptyCall(parts: CallParts, { height, width }: LaneSize): GenerateCall {
  const { factor } = parts.vae;
  const sides = { height: height * factor, width: width * factor };
  return resolveCall({ prompt: '', guidance: MEASURED_WEIGHT, ...sides }, callDefaults(parts), false);
}

/** Zeros in the place of what the network sees behind the states. */
function emptyMaps(
  { inChannels, outChannels }: CallParts['unet'],
  { height, width }: LaneSize,
): Float32Array | undefined {
  return inChannels === outChannels ? undefined : new Float32Array((inChannels - outChannels) * height * width);
}

/** Computes the memory of a sample of so many evaluations a step. */
async function sizesOf(unet: CallParts['unet'], size: LaneSize, evaluations: number): Promise<RowSizes> {
  const [one, two] = [await unet.bytesFor({ ...size, batch: 1 }), await unet.bytesFor({ ...size, batch: 2 })];
  const image = unet.outChannels * size.height * size.width;
  return { image, out: image, head: unet.heads.length > 0 ? image : 0, rowBytes: evaluations * (two - one) };
}

async function measuredDecoding({ vae }: Pick<CallParts, 'vae'>, call: GenerateCall): Promise<number> {
  const latents = new Float32Array(vae.latentChannels * call.height * call.width);
  // The first one loads the decoder.
  await decodeLatents(vae, latents, call);
  const start = performance.now();
  await decodeLatents(vae, latents, call);
  return performance.now() - start;
}
