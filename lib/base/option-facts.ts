import type { JsonSchema, Kind, OptionKinds } from './option-kinds.js';

/** Facts about an option, stated once: calls check them, command lines and HTTP offer them, documents list them. */
export interface OptionFact {
  /** Kind of its values. */
  readonly kind: Kind;
  /** Description of its effect, in one line without its default. */
  readonly help: string;
  /** Default. */
  readonly standard?: string | number | boolean;
  /** Description of a default that depends on more. */
  readonly otherwise?: string;
  /** Placeholder of the value on the command line; absent for a switch. */
  readonly value?: string;
}

/** Facts about every option of an interface; a missing or unknown one does not compile. */
export type OptionFacts<T extends object> = { readonly [Name in keyof T]-?: OptionFact };

/** Collects the kinds of options from their facts. */
export function kindsOf<T extends object>(facts: OptionFacts<T>): OptionKinds<T> {
  const entries = Object.entries<OptionFact>(facts).map(([name, { kind }]) => [name, kind]);
  return Object.fromEntries(entries) as OptionKinds<T>;
}

/** Takes the facts of some options. */
export function factsOf<F extends object, Name extends keyof F>(facts: F, names: readonly Name[]): Pick<F, Name> {
  return Object.fromEntries(names.map((name) => [name, facts[name]])) as Pick<F, Name>;
}

type Standards<F> = {
  readonly [Name in keyof F as F[Name] extends { readonly standard: unknown } ? Name : never]: F[Name] extends {
    readonly standard: infer S;
  }
    ? S
    : never;
};

/** Collects the defaults that depend on nothing else. */
export function standardsOf<F extends Readonly<Record<string, OptionFact>>>(facts: F): Standards<F> {
  const entries = Object.entries(facts).flatMap(([name, { standard }]) =>
    standard === undefined ? [] : [[name, standard] as const],
  );
  return Object.fromEntries(entries) as Standards<F>;
}

/** Describes the default in words, null if there is none. */
export function standardText({ standard, otherwise }: OptionFact): string | null {
  if (otherwise !== undefined) return otherwise;
  if (standard === undefined || standard === false || standard === '') return null;
  if (typeof standard !== 'number') return String(standard);
  return standard === 0 || standard >= 1e-3
    ? standard.toLocaleString('en-US', { maximumFractionDigits: 20 })
    : standard.toExponential();
}

/** Describes an option for help texts: its effect and its default. */
export function helpOf(fact: OptionFact): string {
  const standard = standardText(fact);
  return standard === null ? fact.help : `${fact.help}; default ${standard}`;
}

/** Description of an option for servers, forms and documents. */
export interface DescribedOption {
  /** Description of its effect, in one line without its default. */
  readonly help: string;
  /** Default in words; null if there is none. */
  readonly standard: string | null;
  /** Default itself; null if it depends on other things. */
  readonly value: string | number | boolean | null;
  /** Schema of its values in JSON, as JSON Schema; null for values that JSON cannot hold. */
  readonly schema: JsonSchema | null;
}

/** Describes options from their facts. */
export function described<F extends Readonly<Record<string, OptionFact>>>(
  facts: F,
): { readonly [Name in keyof F]: DescribedOption } {
  const entries = Object.entries(facts).map(([name, fact]) => {
    const { help, kind, standard } = fact;
    return [name, { help, standard: standardText(fact), value: standard ?? null, schema: kind.schema ?? null }];
  });
  return Object.fromEntries(entries) as { [Name in keyof F]: DescribedOption };
}
