// A check that an answer fits the server's own description.
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { expect } from 'vitest';

import type { Answer } from './support.js';

interface Content {
  schema: object;
  'x-events'?: Record<string, object>;
}

/** The part of OpenAPI that is read here. */
interface Document {
  paths: Record<string, Record<string, { responses: Record<string, { content?: Record<string, Content> }> }>>;
  components: { schemas: Record<string, object> };
}

class Description {
  readonly document: Document;
  readonly #ajv = new Ajv2020({ strict: false, allErrors: true });
  readonly #compiled = new Map<object, ValidateFunction>();

  constructor(document: Document) {
    this.document = document;
  }

  /** The template that a path fits. */
  template(path: string): string | undefined {
    const templates = Object.keys(this.document.paths);
    return templates.find((each) => new RegExp(`^${each.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path));
  }

  expectValid(schema: object, value: unknown, what: string): void {
    // References name parts of the whole document.
    const check = this.#compiled.get(schema) ?? this.#ajv.compile({ ...schema, components: this.document.components });
    this.#compiled.set(schema, check);
    expect(check(value) ? [] : check.errors, what).toEqual([]);
  }
}

const descriptions = new Map<string, Promise<Description>>();

async function fetched(origin: string): Promise<Description> {
  const response = await fetch(`${origin}/openapi.json`);
  return new Description((await response.json()) as Document);
}

function descriptionOf(origin: string): Promise<Description> {
  const known = descriptions.get(origin) ?? fetched(origin);
  descriptions.set(origin, known);
  return known;
}

/** The events of a stream: their names and data. */
export function eventsOf(text: string): [string, Record<string, unknown>][] {
  return text
    .split('\n\n')
    .filter((block) => /^event:/m.test(block))
    .map((block) => {
      const [, name = '', data = ''] = /^event: (.*)\ndata: (.*)$/m.exec(block) ?? [];
      return [name, JSON.parse(data) as Record<string, unknown>];
    });
}

/** Expects an answer to fit the description of its server. */
export async function expectDescribed(
  method: string,
  url: URL,
  { status, headers, bytes, json }: Answer,
): Promise<void> {
  const description = await descriptionOf(url.origin);
  const { document } = description;
  const template = description.template(url.pathname);
  const type = headers.get('content-type')?.split(';')[0];
  const what = `${method} ${url.pathname} ${status} ${type}`;
  const operation = document.paths[template ?? '']?.[method === 'HEAD' ? 'get' : method.toLowerCase()];
  if (operation === undefined) {
    // The description leaves out the page. An unknown path is answered with a problem.
    if (status < 400) return;
    expect([404, 405, 400, 414, 415], what).toContain(status);
    expect(type, what).toBe('application/problem+json');
    description.expectValid(document.components.schemas.Problem!, json, what);
    return;
  }
  const response = operation.responses[status];
  expect(response, what).toBeDefined();
  if (method === 'HEAD') return;
  const { content } = response!;
  if (content === undefined) {
    expect(bytes, what).toHaveLength(0);
    return;
  }
  const described = content[type ?? ''];
  expect(described, what).toBeDefined();
  if (/\bjson$/.test(type ?? '')) description.expectValid(described!.schema, json, what);
  for (const [name, data] of type === 'text/event-stream' ? eventsOf(bytes.toString()) : []) {
    const event = described!['x-events']?.[name];
    expect(event, `${what} ${name}`).toBeDefined();
    description.expectValid(event!, data, `${what} ${name}`);
  }
}
