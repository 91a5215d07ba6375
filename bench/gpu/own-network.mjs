// Our network on a card, ready to be timed at one batch size.

/** A block of calls lasts about this long, so that waiting for its end weighs little. */
const BLOCK_MILLISECONDS = 20;
const MOST_CALLS = 200;
/** The number of calls before timing: one step by step, another, then one that captures a graph and launches it. */
const WARM_UP_CALLS = 4;

/**
 * The counts of captured graphs and failed captures and the seconds of planning, as fields of a row; empty where the device does not
 * tell.
 */
export function graphsOf(device) {
  const { capturedGraphs, failedCaptures, planningSeconds } = device.statistics() ?? {};
  return { captures: capturedGraphs, captureFailures: failedCaptures, planningSeconds };
}

export class OwnNetwork {
  #tensors = [];

  /** Takes a `unet` that the caller closes. */
  constructor(unet) {
    this.unet = unet;
    this.device = unet.device;
    // Reading one number waits for the card.
    this.probe = this.device.tensor([1]);
  }

  async prepare(batch) {
    this.#free();
    const { inChannels, outChannels, height, width } = this.unet.info;
    const x = this.device.tensor([batch, inChannels, height, width]);
    const out = this.device.tensor([batch, outChannels, height, width]);
    this.#tensors = [x, out];
    await x.write(new Float32Array(x.elements).map((_, i) => Math.sin(i)));
    await this.probe.write(Float32Array.of(0));
    const times = new Float32Array(batch).fill(500);
    this.call = () => this.unet.forward(x, times, { out });
    for (let i = 0; i < WARM_UP_CALLS; ++i) await this.#block(1);
  }

  /** The milliseconds of an evaluation in each block of evaluations without pauses, for about `milliseconds` in all. */
  async time(milliseconds) {
    const calls = Math.min(MOST_CALLS, Math.ceil(BLOCK_MILLISECONDS / (await this.#block(1))));
    const times = [];
    const end = performance.now() + milliseconds;
    do times.push(await this.#block(calls));
    while (performance.now() < end);
    return times;
  }

  close() {
    this.#free();
    this.probe.free();
  }

  async #block(calls) {
    const start = performance.now();
    await Promise.all(Array.from({ length: calls }, () => this.call()));
    await this.probe.read();
    return (performance.now() - start) / calls;
  }

  #free() {
    for (const tensor of this.#tensors) tensor.free();
    this.#tensors = [];
  }
}
