import { DpmError } from 'dpm-native';

import type { Job } from './job.js';

/** The jobs of a page, unless a request says otherwise, and at most. */
export const STANDARD_PAGE = 100;
export const LARGEST_PAGE = 1000;

/** The jobs that a page is asked for. */
export interface PageRequest {
  /** The client whose jobs are wanted; absent for those of all. */
  tenant?: string | undefined;
  /** The most jobs of the page. */
  limit: number;
  /** The `next` of the page before; absent for the first one. */
  cursor?: string | undefined;
}

/** A part of a list, the newest jobs first. */
export interface Page<T> {
  readonly data: readonly T[];
  /** The cursor of the page after it; null where there are no more. */
  readonly next: string | null;
}

/** The place of a job among all of them, as a text that sorts by time, and by id where times are equal. */
export function placeOfJob({ createdAt, id }: Pick<Job, 'createdAt' | 'id'>): string {
  return `${createdAt} ${id}`;
}

/** The cursor of what comes after a place. Clients need not know what it is made of. */
function cursorOf(place: string): string {
  return Buffer.from(place).toString('base64url');
}

/**
 * Reads the place that a cursor stands for.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` for a text that no page has given.
 */
export function placeOfCursor(cursor: string): string {
  const place = Buffer.from(cursor, 'base64url').toString();
  if (/^[\d:.TZ-]{1,32} [0-9a-f-]{36}$/.test(place) && cursorOf(place) === cursor) return place;
  throw new DpmError('ERR_DPM_ARGUMENT', 'cursor is not the next of a page');
}

/** The cursor of the page after one of `limit` places; null where there are no more of them. */
export function nextOf(places: readonly string[], limit: number): string | null {
  const last = places[limit - 1];
  return places.length > limit && last !== undefined ? cursorOf(last) : null;
}

/** Cuts a page out of jobs that are all at hand. */
export function pageOf<T extends { job: Job }>(all: readonly T[], { tenant, limit, cursor }: PageRequest): Page<T> {
  const before = cursor === undefined ? undefined : placeOfCursor(cursor);
  const placed = all
    .filter(({ job }) => tenant === undefined || job.tenant === tenant)
    .map((each) => ({ each, place: placeOfJob(each.job) }))
    .filter(({ place }) => before === undefined || place < before)
    .sort((a, b) => (a.place < b.place ? 1 : -1));
  const places = placed.map(({ place }) => place);
  return { data: placed.slice(0, limit).map(({ each }) => each), next: nextOf(places, limit) };
}
