// The page of `dpm serve`: the events of a stream, what the server is asked, the token, the form, a row per sampler, and runs.

/** @typedef {{ event: string, data: string }} StreamEvent */

/** Cuts the text of an event stream into its events, wherever the network has cut it. */
export class EventParser {
  #line = '';
  #endedByReturn = false;
  #event = '';
  /** @type {string[]} */
  #data = [];

  /**
   * The events that this much more text completes. An event that never ends is none.
   *
   * @param {string} text
   * @returns {StreamEvent[]}
   */
  push(text) {
    // A line feed that begins a piece may belong to the carriage return that ended the one before.
    const rest = this.#endedByReturn && text.startsWith('\n') ? text.slice(1) : text;
    if (text !== '') this.#endedByReturn = text.endsWith('\r');
    const lines = (this.#line + rest).split(/\r\n|\r|\n/);
    this.#line = lines.pop() ?? '';
    return lines.flatMap((line) => this.#read(line));
  }

  /** @param {string} line */
  #read(line) {
    if (line === '') return this.#ended();
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === 'event') this.#event = value;
    if (field === 'data') this.#data.push(value);
    return [];
  }

  #ended() {
    const ended = { event: this.#event || 'message', data: this.#data.join('\n') };
    const isEvent = this.#data.length > 0;
    this.#event = '';
    this.#data = [];
    return isEvent ? [ended] : [];
  }
}

/**
 * The events of an answer's body.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<StreamEvent, void, void>}
 */
export async function* eventsOf(body) {
  const parser = new EventParser();
  const decoder = new TextDecoder();
  // Safari's streams cannot be iterated.
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    // A stream that has failed rejects this, too.
    reader.cancel().catch(() => undefined);
  }
}

/** An error that the server has answered with. */
class Refusal extends Error {
  /**
   * @param {{ detail?: string, status?: number, retryAfterMs?: number }} problem
   * @param {number} [seconds] - Until it is worth asking again.
   */
  constructor(problem, seconds) {
    super(problem.detail ?? 'the server refused without a reason');
    this.status = problem.status;
    const { retryAfterMs } = problem;
    this.seconds = seconds ?? (retryAfterMs === undefined ? undefined : Math.ceil(retryAfterMs / 1000));
  }
}

/** @param {Response} response */
async function refusalOf(response) {
  const fallback = { detail: `the server answered ${response.status}`, status: response.status };
  // A proxy's errors are no problems.
  const problem = await response.json().catch(() => fallback);
  const header = response.headers.get('retry-after') ?? '';
  return new Refusal({ ...fallback, ...problem }, /^\d+$/.test(header) ? Number(header) : undefined);
}

/** @param {string} id */
const at = (id) => document.getElementById(id);

/** An element with properties and children; text stays text. */
function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Rejects as soon as a signal aborts. */
function aborted(signal) {
  return new Promise((_, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
  });
}

const TOKEN = 'dpm-token';

/** The token of this tab, asked for where the server wants one. */
const token = {
  /** @type {Promise<void> | undefined} */
  asking: undefined,

  get value() {
    return sessionStorage.getItem(TOKEN);
  },

  /** Resolves when somebody has given one. */
  ask(reason) {
    at('token-reason').textContent = reason;
    this.asking ??= new Promise((resolve) => {
      const form = at('token-form');
      const before = document.activeElement;
      form.hidden = false;
      at('token').focus();
      form.onsubmit = (event) => {
        event.preventDefault();
        sessionStorage.setItem(TOKEN, at('token').value);
        form.reset();
        form.hidden = true;
        this.asking = undefined;
        (before === document.body ? at('model') : before).focus();
        resolve();
      };
    });
    return this.asking;
  },
};

/** An answer of the server, which asks for a token as often as it takes one. */
async function ask(path, { headers, ...init } = {}) {
  for (;;) {
    const used = token.value;
    const authorization = used === null ? {} : { authorization: `Bearer ${used}` };
    const response = await fetch(path, { ...init, headers: { ...headers, ...authorization } });
    if (response.ok) return response;
    const refusal = await refusalOf(response);
    if (response.status !== 401 && response.status !== 403) throw refusal;
    // Meanwhile another request may have been given a token.
    if (used !== token.value) continue;
    const given = token.ask(refusal.message);
    await (init.signal ? Promise.race([given, aborted(init.signal)]) : given);
  }
}

const told = async (path, init) => (await ask(path, init)).json();

/** Shows a message, and has screen readers read it. */
function announce(text) {
  at('announcements').append(element('p', {}, text));
}

const MOST_SAMPLERS = 4;
const usual = ['ddim', 'unipc'];

/** The models and samplers of the server, and those that the form shows. */
const offered = {
  /** @type {Map<string, { id: string, summary: string, kind: string, options: object }>} */
  samplers: new Map(),
  /** The model that is chosen, as the server describes it. */
  model: undefined,
};

const samplerFields = () => [...at('samplers').querySelectorAll('select')];

function makeSamplerFields() {
  for (let i = 1; i <= MOST_SAMPLERS; ++i) {
    const id = `sampler-${i}`;
    const field = element('select', { id });
    at('samplers').append(
      element('p', { className: 'field' }, element('label', { htmlFor: id }, `Sampler ${i}`), field),
    );
  }
}

function showSamplers(names) {
  const isKnown = (name) => offered.model.samplers.includes(name);
  samplerFields().forEach((field, i) => {
    const options = offered.model.samplers.map((name) => new Option(name, name));
    field.replaceChildren(new Option('none', ''), ...options);
    field.value = isKnown(names[i]) ? names[i] : '';
  });
}

function showClasses(chosen, guidance) {
  const { classes, labels } = offered.model;
  at('classes').hidden = classes === 0;
  at('classes').disabled = classes === 0;
  at('class').replaceChildren(...Array.from({ length: classes }, (_, i) => new Option(labels[i] ?? `class ${i}`, i)));
  if (chosen < classes) at('class').value = chosen;
  at('guidance').value = guidance;
}

/** Shows what the chosen model has, and of a link's fields what fits it. */
async function showModel(fields) {
  const id = at('model').value;
  const model = await told(`/v1/models/${encodeURIComponent(id)}`);
  // Meanwhile another model has been chosen.
  if (at('model').value !== id) return;
  offered.model = model;
  const wanted = fields.getAll('sampler');
  const fitting = (wanted.length > 0 ? wanted : usual).filter((name) => model.samplers.includes(name));
  showSamplers(fitting.length > 0 ? fitting : model.samplers.slice(0, 1));
  showClasses(Number(fields.get('class') ?? 0), fields.get('guidance') ?? '');
  const missing = wanted.filter((name) => !model.samplers.includes(name));
  if (missing.length > 0) announce(`${id} has no sampler ${missing.join(', ')}`);
}

/** Fills the form from the server's lists and the fields of the link. */
async function showServer() {
  const fields = new URLSearchParams(location.search);
  at('steps').value = fields.get('steps') ?? at('steps').value;
  at('seed').value = fields.get('seed') ?? '';
  const [models, samplers] = await Promise.all([told('/v1/models'), told('/v1/samplers')]);
  offered.samplers = new Map(samplers.data.map((sampler) => [sampler.id, sampler]));
  at('model').replaceChildren(...models.data.map(({ id }) => new Option(id, id)));
  const wanted = fields.get('model');
  if (models.data.some(({ id }) => id === wanted)) at('model').value = wanted;
  else if (wanted !== null) announce(`There is no model ${wanted} here`);
  if (models.data.length === 0) announce('No model is loaded');
  else await showModel(fields);
}

const chosenSamplers = () => [
  ...new Set(
    samplerFields()
      .map(({ value }) => value)
      .filter((name) => name !== ''),
  ),
];

/** The fields of the form as a link has them, by which it can be filled again. */
function linkFields() {
  const fields = new URLSearchParams({ model: at('model').value });
  for (const name of chosenSamplers()) fields.append('sampler', name);
  fields.set('steps', at('steps').value);
  fields.set('seed', at('seed').value);
  if (at('classes').disabled) return fields;
  fields.set('class', at('class').value);
  if (at('guidance').value !== '') fields.set('guidance', at('guidance').value);
  return fields;
}

/** Draws a seed from 0 to 2^64 - 1, in digits, as a number would lose some of them. */
const drawnSeed = () => String(crypto.getRandomValues(new BigUint64Array(1))[0]);

const PREVIEWS = 8;

/** The request of a sampler for what the form says. */
function requestOf(sampler) {
  const steps = Number(at('steps').value);
  const takesSteps = 'steps' in sampler.options;
  const guidance = at('guidance').value;
  return {
    model: at('model').value,
    sampler: sampler.id,
    seed: at('seed').value,
    ...(takesSteps && {
      steps,
      preview: { every: Math.max(1, Math.round(steps / PREVIEWS)), of: 'prediction' },
    }),
    ...(!at('classes').disabled && {
      classLabels: Number(at('class').value),
      ...(guidance !== '' && { guidance: Number(guidance) }),
    }),
  };
}

async function streamOf(body, signal) {
  const headers = { accept: 'text/event-stream', 'content-type': 'application/json' };
  return ask('/v1/samples', { method: 'POST', headers, body: JSON.stringify(body), signal });
}

/** The stream of a request; without previews where the sampler turns out to have none. */
async function openedStream(sampler, { preview, ...body }, signal) {
  try {
    return await streamOf({ ...body, preview }, signal);
  } catch (error) {
    // The list does not say which of these have steps that are known beforehand.
    if (preview === undefined || sampler.kind === 'step' || error.status !== 400) throw error;
    return streamOf(body, signal);
  }
}

/** Milliseconds in words, in seconds where they are many. */
function duration(milliseconds) {
  if (milliseconds >= 10_000) return `${Math.round(milliseconds / 1000)} s`;
  return `${milliseconds < 10 ? Math.round(10 * milliseconds) / 10 : Math.round(milliseconds)} ms`;
}

/** The card that shows a sampler's run. */
class Row {
  #name;
  /** Records in all; unknown until the server tells. */
  #total;
  #state = element('p', { className: 'state' }, 'waiting');
  #refusal = element('p', { className: 'refusal' });
  #strip = element('div', { className: 'strip' });
  #frame = element('div', { className: 'frame' });
  #figures = element('dl');

  constructor({ id, summary }, steps, [, height]) {
    this.#name = id;
    this.#total = steps;
    const about = element('p', { className: 'summary' }, summary);
    const telling = element('div', { className: 'telling' }, element('h3', {}, id), about);
    telling.append(this.#state, this.#refusal, this.#strip);
    this.element = element(
      'article',
      // The page enlarges small images without smoothing, and shrinks large ones.
      { className: `row panel${height < 160 ? ' pixels' : ''}`, ariaLabel: id },
      telling,
      element('div', { className: 'result' }, this.#frame, this.#figures),
    );
    this.element.dataset.sampler = id;
    this.#showFigures(['–', '–', '–', '–']);
  }

  /** Shows an event of a run that goes on. */
  tell(event, data) {
    switch (event) {
      case 'accepted':
        this.#state.textContent = `accepted, expected wait ${duration(data.expectedWaitMs)}`;
        break;
      case 'progress':
        this.#total = data.total;
        this.#state.textContent = `record ${data.done} of ${data.total}`;
        break;
      case 'preview': {
        const of = this.#total === undefined ? '' : ` of ${this.#total}`;
        this.#strip.append(this.#image(data, `${this.#name}, record ${data.record}${of}`));
        break;
      }
      case 'image':
        this.#frame.replaceChildren(this.#image(data, `${this.#name}, result`));
    }
  }

  done({ queuedMs, runMs, msPerEvaluation, evaluations }) {
    // Adaptive samplers evaluate outside of the batch, so the batch does not count their evaluations.
    const each = msPerEvaluation === null ? ['–', '–'] : [duration(msPerEvaluation), String(evaluations)];
    this.#showFigures([duration(queuedMs), duration(runMs), ...each]);
    this.#state.textContent = 'done';
    announce(`${this.#name} done in ${Math.round(queuedMs + runMs)} ms`);
  }

  stopped() {
    this.#state.textContent = 'stopped';
  }

  /** @param {'refused' | 'failed'} how */
  ended(how, { message, seconds }) {
    const again = seconds === undefined ? '' : ` Try again in ${seconds} s.`;
    this.#state.textContent = how;
    this.#refusal.textContent = `${message}.${again}`;
    announce(`${this.#name} ${how}.${again}`);
  }

  #image({ contentType, b64 }, alt) {
    return element('img', { src: `data:${contentType};base64,${b64}`, alt });
  }

  #showFigures([queued, ran, each, evaluations]) {
    const figures = { Queue: queued, Run: ran, 'Per evaluation': each, Evaluations: evaluations };
    this.#figures.replaceChildren(
      ...Object.entries(figures).flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]),
    );
  }
}

/** Draws with one sampler and shows how it goes. */
async function draw(row, sampler, body, signal) {
  let isAccepted = false;
  try {
    const { body: stream } = await openedStream(sampler, body, signal);
    isAccepted = true;
    for await (const { event, data } of eventsOf(stream)) {
      const value = JSON.parse(data);
      if (event === 'error') throw new Refusal(value);
      if (event === 'done') return row.done(value);
      row.tell(event, value);
    }
    throw new Refusal({ detail: 'the server ended the stream early' });
  } catch (error) {
    if (signal.aborted) row.stopped();
    else if (error instanceof Refusal) row.ended(isAccepted ? 'failed' : 'refused', error);
    else row.ended('failed', { message: 'the server cannot be reached' });
  }
}

/** Shows every second how busy the model is, until a signal ends it: once in any case, however short the run was. */
async function watchLoad(id, signal) {
  do {
    try {
      const { batcher } = await told(`/v1/models/${encodeURIComponent(id)}`);
      const { rows, capacityRowsPerSecond: capacity, expectedWaitMs } = batcher;
      at('load').textContent =
        `${id}: ${rows} rows per step, ${Math.round(capacity)} rows a second at most, ` +
        `expected wait ${duration(expectedWaitMs)}`;
    } catch (error) {
      at('load').textContent = `${id}: no answer (${error.message})`;
    }
    await pause(1000);
  } while (!signal.aborted);
}

/** @type {AbortController | undefined} */
let running;

function setRunning(stop) {
  running = stop;
  // A button that is disabled loses the focus, even if it has just been pressed.
  at('run').ariaDisabled = String(stop !== undefined);
  at('stop').ariaDisabled = String(stop === undefined);
}

/** Draws with all samplers that are chosen, and the same seed. */
async function run() {
  const samplers = chosenSamplers().map((name) => offered.samplers.get(name));
  at('announcements').replaceChildren();
  if (samplers.length === 0) {
    announce('No sampler is chosen');
    return;
  }
  if (at('seed').value === '') at('seed').value = drawnSeed();
  history.replaceState(null, '', `?${linkFields()}`);
  const stop = new AbortController();
  setRunning(stop);
  const drawings = samplers.map((sampler) => {
    const body = requestOf(sampler);
    return { sampler, body, row: new Row(sampler, body.steps, offered.model.shape) };
  });
  at('results').replaceChildren(...drawings.map(({ row }) => row.element));
  const watch = new AbortController();
  void watchLoad(at('model').value, watch.signal);
  await Promise.all(drawings.map(({ row, sampler, body }) => draw(row, sampler, body, stop.signal)));
  watch.abort();
  if (stop.signal.aborted) announce('Stopped');
  setRunning(undefined);
}

function start() {
  makeSamplerFields();
  /** Settled once the form shows what the chosen model has. */
  let shown;
  const show = (showing) => {
    shown = showing.catch((error) => announce(`The server does not say what it has: ${error.message}`));
  };
  show(showServer());
  at('model').addEventListener('change', () => show(showModel(linkFields())));
  at('run-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    await shown;
    if (running === undefined) await run();
  });
  at('stop').addEventListener('click', () => running?.abort());
}

// Tests import the parser where there is no page.
if (typeof document !== 'undefined') start();
