import { tracingChannel } from 'node:diagnostics_channel';

import type { SamplerName } from '../samplers/index.js';
import { serviceDefaults } from './options.js';
import type { Served } from './requests.js';

/** Message of the tracing channel `dpm-native:sample` about a request. */
export interface SampleTrace {
  /** Folder of the model. */
  model: string;
  /** Name of the sampler; null for programs that the caller has made. */
  sampler: SamplerName | null;
  /** Tenant of the request. */
  tenant: string;
  /** Number of network evaluations, once the request is done. */
  records?: number;
  /** Milliseconds until its first sample had a slot, once it is done. */
  queued?: number;
  /** Milliseconds since its first sample had a slot, once it is done. */
  ran?: number;
}

const traces = tracingChannel<'dpm-native:sample', SampleTrace>('dpm-native:sample');

/** Does the work of a request, of which it tells those who listen to the channel. */
export function traced(
  model: string,
  { sampler, tenant = serviceDefaults.tenant }: { sampler: SamplerName | null; tenant?: string | undefined },
  work: () => Promise<Served>,
): Promise<Served> {
  if (!traces.hasSubscribers) return work();
  const trace: SampleTrace = { model, sampler, tenant };
  return traces.tracePromise(async () => {
    const served = await work();
    Object.assign(trace, { records: served.evaluations, queued: served.queued, ran: served.ran });
    return served;
  }, trace);
}
