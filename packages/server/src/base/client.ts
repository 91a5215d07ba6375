/** The scopes that a token may have. */
export const scopes = ['sample', 'jobs', 'infer', 'priority', 'metrics', 'admin'] as const;

/** A scope of a token: what it allows. */
export type Scope = (typeof scopes)[number];

/** A client that sends requests, by its token. */
export interface Client {
  /** The tenant of its requests; '' without tokens. */
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Its share of the batch, relative to other tenants. */
  readonly weight: number;
  readonly requestsPerMinute: number;
}

/** The client of a server without tokens. It may do everything but change the server. */
export const anybody: Client = {
  name: '',
  scopes: new Set(scopes.filter((scope) => scope !== 'admin')),
  weight: 1,
  requestsPerMinute: Infinity,
};
