// Compares arms on one network after another, and makes rows of that.
import { withClocks } from './clocks.mjs';
import { configurationOf } from './networks.mjs';
import { median, printRow, settings } from './settings.mjs';

const { quick, selfTest, seconds, python } = settings;
const rounds = quick ? 2 : 7;
const roundMilliseconds = selfTest ? 1 : 150;
const OPENING_SECONDS = 60;
/** The most seconds for preparing. Compilers and tuning take long, but no arm gets all of the time. */
const PREPARING_SECONDS = 150;
/** Seconds for any other command, after which an arm counts as hung. */
const TIMING_SECONDS = 60;
const LEAST_SECONDS = 20;

/** Compares arms on one case after another; throws what the first of ours has failed with. */
export async function compare(arms, cases) {
  if (arms.every(({ isOwn }) => isOwn) && !selfTest) {
    printRow({ arm: 'PyTorch', error: `left out: ${python?.why ?? 'no Python'}` });
  }
  await withClocks(async (clocks) => {
    const comparison = new Comparison(arms, clocks);
    try {
      for (const each of cases) await comparison.run(each);
    } finally {
      for (const arm of arms) arm.close();
    }
    if (comparison.failures.length > 0) throw new Error(comparison.failures[0].split('\n').at(-1));
  });
}

export class Comparison {
  #deadline = performance.now() + 1000 * (seconds - 10);
  #versions = new Set();

  /** Failures of our arms, and failures of peers other than timeouts. */
  failures = [];

  constructor(arms, clocks) {
    this.arms = arms;
    this.clocks = clocks;
  }

  async run({ network, batch, compiles = false }) {
    if (this.#left() < LEAST_SECONDS) return printRow({ network, batch, error: 'left out: no time' });
    const ready = new Map();
    for (const arm of this.arms.filter((each) => compiles || !each.compiles)) {
      const reply = (await this.#open(arm)) ? await this.#prepare(arm, network, batch) : null;
      if (reply !== null) ready.set(arm, reply);
    }
    const parameters = new Set([...ready.values()].map((reply) => reply.parameters));
    if (parameters.size > 1)
      throw new Error(`the engines' ${network} differ: ${[...parameters].join(', ')} parameters`);
    await this.#time([...ready.keys()], network, batch, ready);
  }

  /** The seconds that remain. */
  #left() {
    return (this.#deadline - performance.now()) / 1000;
  }

  /** Tells whether an arm runs, and starts it again if it has ended. */
  async #open(arm) {
    if (arm.isOpen) return true;
    try {
      const { version } = await arm.open(Math.max(1, Math.min(OPENING_SECONDS, this.#left())));
      if (!this.#versions.has(arm)) printRow({ arm: arm.name, version });
      this.#versions.add(arm);
      return true;
    } catch (error) {
      this.#fail(arm, {}, error);
      return false;
    }
  }

  /** Prepares an arm, and returns its count of parameters and the seconds; null where it cannot run the network. */
  async #prepare(arm, network, batch) {
    const start = performance.now();
    try {
      const request = { op: 'prepare', network, configuration: configurationOf(network), batch };
      const { parameters } = await arm.ask(request, Math.max(1, Math.min(PREPARING_SECONDS, 0.4 * this.#left())));
      return { parameters, preparedIn: Number(((performance.now() - start) / 1000).toFixed(1)) };
    } catch (error) {
      this.#fail(arm, { network, batch }, error);
      return null;
    }
  }

  async #time(arms, network, batch, ready) {
    const replies = new Map(arms.map((arm) => [arm, []]));
    this.clocks.since();
    for (let round = 0; round < rounds; ++round) {
      const order = [...replies.keys()];
      for (let i = 0; i < order.length; ++i) {
        // Each round starts with another arm.
        const arm = order[(round + i) % order.length];
        try {
          replies.get(arm).push(await arm.ask({ op: 'time', milliseconds: roundMilliseconds }, TIMING_SECONDS));
        } catch (error) {
          replies.delete(arm);
          this.#fail(arm, { network, batch }, error);
        }
      }
    }
    const clocks = this.clocks.since();
    for (const [arm, ofArm] of replies) {
      const values = ofArm.map(({ milliseconds }) => median(milliseconds));
      const { captures, captureFailures, planningSeconds } = ofArm.at(-1);
      const graphs = { captures, captureFailures };
      const { preparedIn } = ready.get(arm);
      const times = { milliseconds: median(values), fastest: Math.min(...values), rounds };
      printRow({ network, batch, arm: arm.name, ...times, preparedIn, planningSeconds, ...graphs, ...clocks });
    }
  }

  #fail(arm, facts, error) {
    const message = error.message.slice(0, 500);
    // A peer may take longer than the time that remains.
    if (arm.isOwn || !/took longer than/.test(message)) this.failures.push(`${arm.name}: ${message}`);
    printRow({ ...facts, arm: arm.name, error: message });
  }
}
