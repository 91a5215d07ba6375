import type { JSX } from 'preact';

import type { Sampler, SamplerOption } from '../described.js';
import { InputField, SelectField } from './fields.js';

/** Options that the form has fields of its own for, and those that are files elsewhere. */
const others = ['steps', 'costs', 'levels', 'gamma'];

interface OptionProps {
  readonly name: string;
  readonly option: SamplerOption;
  readonly value: string;
  readonly set: (value: string) => void;
}

function OptionField({ name, option: { description, type, values }, value, set }: OptionProps): JSX.Element {
  const id = `option-${name}`;
  const common = { id, label: name, value, set, hint: description };
  const names = type === 'boolean' ? ['true', 'false'] : values;
  if (names === undefined) {
    return <InputField {...common} range={{ step: type === 'integer' ? '1' : 'any' }} />;
  }
  return <SelectField {...common} options={[['', 'default'], ...names.map((each) => [each, each] as const)]} />;
}

interface SamplerOptionsProps {
  readonly sampler: Sampler;
  readonly values: Readonly<Record<string, string>>;
  readonly set: (values: Readonly<Record<string, string>>) => void;
}

/** The options of a sampler that are numbers, names or switches. Empty fields are defaults. */
export function SamplerOptions({ sampler, values, set }: SamplerOptionsProps): JSX.Element {
  const options = Object.entries(sampler.options).filter(
    ([name, { type }]) => type !== undefined && !others.includes(name),
  );
  return (
    <details>
      <summary>Options of {sampler.id}</summary>
      <div class="fields">
        {options.map(([name, option]) => (
          <OptionField
            key={`${sampler.id}-${name}`}
            name={name}
            option={option}
            value={values[name] ?? ''}
            set={(value) => {
              set({ ...values, [name]: value });
            }}
          />
        ))}
      </div>
    </details>
  );
}
