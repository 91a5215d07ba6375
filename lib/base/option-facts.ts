import type { JsonSchema, Kind, OptionKinds } from './option-kinds.js';

/** What there is to know of an option, once: calls check it, command lines and HTTP offer it, documents list it. */
export interface OptionFact {
  /** What it may be. */
  readonly kind: Kind;
  /** What it does, in one line without its default. */
  readonly help: string;
  /** What holds where it is absent. */
  readonly standard?: string | number | boolean;
  /** The same in words, where it depends on more. */
  readonly otherwise?: string;
  /** Placeholder of the value on the command line; absent for a switch. */
  readonly value?: string;
}

/** The facts of every option of an interface; one that is missing or too many does not compile. */
export type OptionFacts<T extends object> = { readonly [Name in keyof T]-?: OptionFact };

/** The kinds of options, from their facts. */
export function kindsOf<T extends object>(facts: OptionFacts<T>): OptionKinds<T> {
  const entries = Object.entries<OptionFact>(facts).map(([name, { kind }]) => [name, kind]);
  return Object.fromEntries(entries) as OptionKinds<T>;
}

type Standards<F> = {
  readonly [Name in keyof F as F[Name] extends { readonly standard: unknown } ? Name : never]: F[Name] extends {
    readonly standard: infer S;
  }
    ? S
    : never;
};

/** The defaults of the options that have one which depends on nothing else. */
export function standardsOf<F extends Readonly<Record<string, OptionFact>>>(facts: F): Standards<F> {
  const entries = Object.entries(facts).flatMap(([name, { standard }]) =>
    standard === undefined ? [] : [[name, standard] as const],
  );
  return Object.fromEntries(entries) as Standards<F>;
}

/** The default in words, null where there is none. */
export function standardText({ standard, otherwise }: OptionFact): string | null {
  if (otherwise !== undefined) return otherwise;
  if (standard === undefined || standard === false || standard === '') return null;
  return typeof standard === 'number' ? standard.toLocaleString('en-US') : String(standard);
}

/** What help texts and descriptions say: what an option does, and its default. */
export function helpOf(fact: OptionFact): string {
  const standard = standardText(fact);
  return standard === null ? fact.help : `${fact.help}; default ${standard}`;
}

/** An option as others offer it: servers, forms, documents. */
export interface DescribedOption {
  /** What it does, in one line without its default. */
  readonly help: string;
  /** What holds where it is absent, in words; null where nothing does. */
  readonly standard: string | null;
  /** The default itself; null where it depends on more. */
  readonly value: string | number | boolean | null;
  /** What it may be in JSON, as JSON Schema has it; null for what JSON cannot hold. */
  readonly schema: JsonSchema | null;
}

/** Options as others offer them, from their facts. */
export function described<F extends Readonly<Record<string, OptionFact>>>(
  facts: F,
): { readonly [Name in keyof F]: DescribedOption } {
  const entries = Object.entries(facts).map(([name, fact]) => {
    const { help, kind, standard } = fact;
    return [name, { help, standard: standardText(fact), value: standard ?? null, schema: kind.schema ?? null }];
  });
  return Object.fromEntries(entries) as { [Name in keyof F]: DescribedOption };
}
