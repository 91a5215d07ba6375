import type { Routes } from './context.js';
import { jobRoutes } from './routes/jobs.js';
import { kserveRoutes } from './routes/kserve.js';
import { modelRoutes } from './routes/models.js';
import { openaiRoutes } from './routes/openai.js';
import { openapiRoutes } from './routes/openapi.js';
import { pageRoutes } from './routes/page.js';
import { probeRoutes } from './routes/probes.js';
import { sampleRoutes } from './routes/samples.js';

/** The routes of a server, and those of a worker, which takes no requests. */
export const serverRoutes: readonly Routes[] = [
  pageRoutes,
  sampleRoutes,
  jobRoutes,
  modelRoutes,
  openaiRoutes,
  kserveRoutes,
  probeRoutes,
  openapiRoutes,
];
export const workerRoutes: readonly Routes[] = [probeRoutes];
