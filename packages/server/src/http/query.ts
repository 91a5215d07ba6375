import type { TSchema } from 'typebox';

interface Properties {
  properties?: Readonly<Record<string, { type?: unknown }>>;
}

/** The values of a query. All of them come as texts; those of whole numbers are numbers where the schema wants integers. */
export function queryValues(schema: TSchema, query: unknown): unknown {
  const { properties = {} } = schema as Properties;
  const isNumber = (name: string, value: unknown): boolean =>
    properties[name]?.type === 'integer' && typeof value === 'string' && /^\d{1,9}$/.test(value);
  const values = Object.entries(Object(query) as Record<string, unknown>);
  return Object.fromEntries(values.map(([name, value]) => [name, isNumber(name, value) ? Number(value) : value]));
}
