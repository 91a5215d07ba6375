import { ask, post, told, toldIfAny } from './server.js';

/** A job, as `GET /v1/jobs` has it. */
export interface Job {
  readonly id: string;
  readonly state: 'queued' | 'running' | 'done' | 'failed' | 'cancelled';
  readonly done: number;
  readonly total: number;
  readonly failedChunks: readonly unknown[];
  readonly createdAt: string;
  readonly expectedSeconds: number | null;
  readonly model: string;
  readonly sampler: string;
  readonly seed: string;
}

/** Some jobs of the server, the newest first. */
export interface JobPage {
  readonly data: readonly Job[];
  /** Names the page of those before them; null where there are none. */
  readonly next: string | null;
}

/** The newest jobs of the server; null where it takes none, or asks for a token first. */
export async function jobsIfAny(): Promise<readonly Job[] | null> {
  return (await toldIfAny<JobPage>('/v1/jobs'))?.data ?? null;
}

/** @param cursor - Names the page; null is the one of the newest. */
export function jobPage(cursor: string | null): Promise<JobPage> {
  return told<JobPage>(cursor === null ? '/v1/jobs' : `/v1/jobs?cursor=${encodeURIComponent(cursor)}`);
}

const path = (id: string): string => `/v1/jobs/${encodeURIComponent(id)}`;

export async function startJob(body: object): Promise<Job> {
  return (await (await post('/v1/jobs', body, 'application/json')).json()) as Job;
}

export async function cancelJob(id: string): Promise<void> {
  await ask(path(id), { method: 'DELETE' });
}

export async function retryJob(id: string): Promise<void> {
  await ask(`${path(id)}/retry`, { method: 'POST' });
}

/** The first image of a job, as an object URL; null until it is there. */
export async function firstImage(id: string): Promise<string | null> {
  const response = await ask(`${path(id)}/images/0`).catch(() => null);
  return response === null ? null : URL.createObjectURL(await response.blob());
}
