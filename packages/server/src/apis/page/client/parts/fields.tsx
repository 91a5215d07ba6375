import type { ComponentChildren, JSX } from 'preact';

import { base64Of } from '../base64.js';

/** What a field of the form shows and tells. */
interface FieldProps {
  readonly id: string;
  readonly label: string;
  readonly value: string;
  readonly set: (value: string) => void;
  readonly hint?: string | undefined;
}

function Field({
  id,
  label,
  hint,
  children,
}: Pick<FieldProps, 'id' | 'label' | 'hint'> & { children: ComponentChildren }): JSX.Element {
  return (
    <p class="field">
      <label for={id}>{label}</label>
      {children}
      {hint !== undefined && <small id={`${id}-hint`}>{hint}</small>}
    </p>
  );
}

const described = ({ id, hint }: Pick<FieldProps, 'id' | 'hint'>): { 'aria-describedby'?: string } =>
  hint === undefined ? {} : { 'aria-describedby': `${id}-hint` };

interface InputProps extends FieldProps {
  /** Range of a number; without it the value is text. */
  readonly range?: { readonly min?: string; readonly max?: string; readonly step: string };
  /** Digits alone, at most so many; as text, since numbers lose some of them. */
  readonly digits?: number;
  readonly required?: boolean;
}

/** A field for a number or digits. */
export function InputField({ id, label, value, set, hint, range, digits, required = false }: InputProps): JSX.Element {
  const kind =
    digits === undefined
      ? ({ type: 'number', ...range } as const)
      : ({
          type: 'text',
          inputMode: 'numeric',
          pattern: `[0-9]{1,${digits}}`,
          title: `Up to ${digits} digits, or nothing`,
        } as const);
  return (
    <Field id={id} label={label} hint={hint}>
      <input
        {...kind}
        {...described({ id, hint })}
        id={id}
        autocomplete="off"
        required={required}
        value={value}
        onInput={({ currentTarget }) => {
          set(currentTarget.value);
        }}
      />
    </Field>
  );
}

interface TextProps extends FieldProps {
  readonly required?: boolean;
  readonly placeholder?: string;
}

/** A field for words. */
export function TextField({ id, label, value, set, hint, placeholder, required = false }: TextProps): JSX.Element {
  return (
    <Field id={id} label={label} hint={hint}>
      <textarea
        {...described({ id, hint })}
        id={id}
        rows={2}
        maxLength={4096}
        placeholder={placeholder}
        required={required}
        value={value}
        onInput={({ currentTarget }) => {
          set(currentTarget.value);
        }}
      />
    </Field>
  );
}

/** A field for a picture, chosen or dropped, whose value is its bytes in base64. */
export function PictureField({ id, label, value, set, hint }: FieldProps): JSX.Element {
  const take = async (file: File | undefined): Promise<void> => {
    if (file === undefined) set('');
    else set(await base64Of(file));
  };
  return (
    <Field id={id} label={label} hint={hint}>
      <input
        {...described({ id, hint })}
        id={id}
        type="file"
        accept="image/png,image/jpeg"
        onChange={({ currentTarget }) => {
          void take(currentTarget.files?.[0]);
        }}
        onDrop={(event) => {
          event.preventDefault();
          void take(event.dataTransfer?.files[0]);
        }}
      />
      {value !== '' && (
        <button
          type="button"
          onClick={() => {
            const input = document.getElementById(id);
            if (input instanceof HTMLInputElement) input.value = '';
            set('');
          }}
        >
          Without a picture
        </button>
      )}
    </Field>
  );
}

interface SelectProps extends FieldProps {
  readonly options: readonly (readonly [value: string, text: string])[];
  readonly required?: boolean;
}

/** A field for one of some names. */
export function SelectField({ id, label, value, set, hint, options, required = false }: SelectProps): JSX.Element {
  return (
    <Field id={id} label={label} hint={hint}>
      <select
        {...described({ id, hint })}
        id={id}
        required={required}
        value={value}
        onChange={({ currentTarget }) => {
          set(currentTarget.value);
        }}
      >
        {options.map(([each, text]) => (
          <option key={each} value={each} selected={each === value}>
            {text}
          </option>
        ))}
      </select>
    </Field>
  );
}
