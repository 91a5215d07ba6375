/** The scopes that a token may have. */
export const scopes = ['sample', 'jobs', 'infer', 'priority', 'metrics', 'admin'] as const;

/** A scope of a token: what it allows. */
export type Scope = (typeof scopes)[number];

/** What the jobs of a tenant may take at once. */
export interface Quota {
  /** Jobs that are not over. */
  readonly unfinishedJobs: number;
  /** Samples of those. */
  readonly unfinishedSamples: number;
  /** Bytes of the samples of all its jobs. */
  readonly resultBytes: number;
}

/** The quota of whoever has none. */
export const unlimited: Quota = { unfinishedJobs: Infinity, unfinishedSamples: Infinity, resultBytes: Infinity };

/** A client that sends requests, by its token. */
export interface Client {
  /** The tenant of its requests; '' without tokens. */
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Its share of the batch, relative to other tenants. */
  readonly weight: number;
  readonly requestsPerMinute: number;
  readonly quota: Quota;
}

/** The client of a server without tokens. It may do everything but change the server. */
export const anybody: Client = {
  name: '',
  scopes: new Set(scopes.filter((scope) => scope !== 'admin')),
  weight: 1,
  requestsPerMinute: Infinity,
  quota: unlimited,
};
