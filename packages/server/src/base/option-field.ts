import type { DescribedOption, JsonSchema } from 'dpm-native';
import Type, { type TUnsafe } from 'typebox';

/** What a server says of an option that the library does not. */
interface Own {
  /** Its own limits, in place of the library's. */
  readonly limits?: JsonSchema;
  /** Most entries, where the option may be a list. */
  readonly most?: number | undefined;
  /** The one type that it takes in JSON, where the option may be of several. */
  readonly type?: 'integer' | 'number';
  /** Its own default in words. */
  readonly standard?: string;
}

/** The description of an option: a sentence of what it does and its default. */
export function describe({ help, standard }: Pick<DescribedOption, 'help' | 'standard'>): string {
  const sentence = standard === null ? help : `${help}; default ${standard}`;
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}.`;
}

function bounded(schema: JsonSchema, { most, type }: Own): JsonSchema {
  const { anyOf } = schema;
  if (!Array.isArray(anyOf)) return schema;
  const ways = anyOf as readonly JsonSchema[];
  if (type !== undefined) return ways.find((way) => way.type === type) ?? schema;
  if (most === undefined) return schema;
  return { ...schema, anyOf: ways.map((way) => (way.type === 'array' ? { ...way, maxItems: most } : way)) };
}

/** The field of a body or a configuration that is an option of the library: its schema and its words are the library's. */
export function optionField<T>(option: DescribedOption, own: Own = {}): TUnsafe<T> {
  const description = describe({ help: option.help, standard: own.standard ?? option.standard });
  return Type.Unsafe<T>({ ...bounded(option.schema ?? {}, own), ...own.limits, description });
}
