/** What an answer says of an error (RFC 9457). */
interface Problem {
  readonly detail?: string;
  readonly status?: number;
  readonly retryAfterMs?: number;
}

/** An error that the server has answered with. */
export class Refusal extends Error {
  readonly status: number | undefined;
  /** Seconds until it is worth asking again. */
  readonly seconds: number | undefined;

  constructor({ detail, status, retryAfterMs }: Problem, seconds?: number) {
    super(detail ?? 'the server refused without a reason');
    this.status = status;
    this.seconds = seconds ?? (retryAfterMs === undefined ? undefined : Math.ceil(retryAfterMs / 1000));
  }
}

async function refusalOf(response: Response): Promise<Refusal> {
  const fallback = { detail: `the server answered ${response.status}`, status: response.status };
  // A proxy's errors are no problems.
  const problem = (await response.json().catch(() => fallback)) as Problem;
  const header = response.headers.get('retry-after') ?? '';
  return new Refusal({ ...fallback, ...problem }, /^\d+$/.test(header) ? Number(header) : undefined);
}

const TOKEN = 'dpm-token';

/** Shows the form that asks for a token, with the reason; null hides it. */
type ShowReason = (reason: string | null) => void;

/** The token of this tab, asked for where the server wants one. */
class Token {
  #show: ShowReason = () => undefined;
  #asking: Promise<void> | undefined;
  #given: (() => void) | undefined;

  get value(): string | null {
    return sessionStorage.getItem(TOKEN);
  }

  /** Sets how the form is shown. */
  shownBy(show: ShowReason): void {
    this.#show = show;
  }

  /** Resolves when somebody has given one. */
  ask(reason: string): Promise<void> {
    this.#show(reason);
    this.#asking ??= new Promise((resolve) => (this.#given = resolve));
    return this.#asking;
  }

  give(value: string): void {
    sessionStorage.setItem(TOKEN, value);
    this.#show(null);
    this.#asking = undefined;
    this.#given?.();
  }
}

export const token = new Token();

/** Rejects as soon as a signal aborts. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = (): void => {
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- fetch rejects with the reason, too
      reject(signal.reason);
    };
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
  });
}

function send(path: string, init: RequestInit): Promise<Response> {
  const used = token.value;
  const headers = new Headers(init.headers);
  if (used !== null) headers.set('authorization', `Bearer ${used}`);
  return fetch(path, { ...init, headers });
}

/** An answer of the server, which asks for a token as often as it takes one. */
export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  for (;;) {
    const used = token.value;
    const response = await send(path, init);
    if (response.ok) return response;
    const refusal = await refusalOf(response);
    if (response.status !== 401 && response.status !== 403) throw refusal;
    // Meanwhile another request may have been given a token.
    if (used !== token.value) continue;
    const given = token.ask(refusal.message);
    await (init.signal ? Promise.race([given, aborted(init.signal)]) : given);
  }
}

/** What the server tells in JSON. */
export async function told<T>(path: string, init?: RequestInit): Promise<T> {
  return (await (await ask(path, init)).json()) as T;
}

/** The same, null where it refuses: nobody is asked for a token. */
export async function toldIfAny<T>(path: string): Promise<T | null> {
  const response = await send(path, {}).catch(() => null);
  return response?.ok === true ? ((await response.json()) as T) : null;
}

/** Sends JSON; the answer is what the `accept` asks for. */
export function post(path: string, body: unknown, accept: string, signal?: AbortSignal): Promise<Response> {
  const headers = { accept, 'content-type': 'application/json' };
  return ask(path, { method: 'POST', headers, body: JSON.stringify(body), ...(signal && { signal }) });
}
