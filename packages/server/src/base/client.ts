/** What a token may do. */
export const scopes = ['sample', 'jobs', 'infer', 'priority', 'metrics', 'admin'] as const;

/** What a token may do. */
export type Scope = (typeof scopes)[number];

/** Who asks. */
export interface Client {
  /** The tenant of its requests; '' without tokens. */
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Among the other tenants. */
  readonly weight: number;
  readonly requestsPerMinute: number;
}

/** Where there are no tokens everybody may do everything but change the server. */
export const anybody: Client = {
  name: '',
  scopes: new Set(scopes.filter((scope) => scope !== 'admin')),
  weight: 1,
  requestsPerMinute: Infinity,
};
