import type { JSX } from 'preact';

import type { Model } from '../described.js';
import type { Fields } from '../fields.js';
import { InputField, PictureField, SelectField, TextField } from './fields.js';

interface PromptFieldsProps {
  readonly fields: Fields;
  readonly set: (changed: Partial<Fields>) => void;
  readonly prompts: NonNullable<Model['prompts']>;
}

const named = (names: readonly string[], none: string): (readonly [string, string])[] => [
  ['', none],
  ...names.map((name) => [name, name] as const),
];

/** Fields of a picture that images begin with. */
function Beginning({ fields, set }: Omit<PromptFieldsProps, 'prompts'>): JSX.Element {
  return (
    <>
      <PictureField
        id="image"
        label="Picture to begin with"
        value={fields.image}
        set={(image) => {
          set({ image });
        }}
        hint="PNG or JPEG of one of the sizes; drop it here."
      />
      {fields.image !== '' && (
        <InputField
          id="strength"
          label="Strength"
          range={{ min: '0.01', max: '1', step: '0.01' }}
          required
          value={fields.strength}
          set={(strength) => {
            set({ strength });
          }}
          hint="How much of the picture may change."
        />
      )}
    </>
  );
}

/** Fields of a model that draws images of texts. */
export function PromptFields({ fields, set, prompts }: PromptFieldsProps): JSX.Element {
  const { sizes, loras, guidance } = prompts;
  const [own = ''] = sizes;
  return (
    <fieldset id="prompts">
      <legend>Text</legend>
      <TextField
        id="prompt"
        label="Prompt"
        required
        value={fields.prompt}
        set={(prompt) => {
          set({ prompt });
        }}
        placeholder="a blue rocket, flat style, on pink"
      />
      <TextField
        id="negative"
        label="Negative prompt"
        value={fields.negative}
        set={(negative) => {
          set({ negative });
        }}
        hint="What the images are led away from."
      />
      <div class="fields">
        <InputField
          id="guidance"
          label="Guidance"
          range={{ step: 'any' }}
          value={fields.guidance}
          set={(weight) => {
            set({ guidance: weight });
          }}
          hint={`Empty: ${guidance}.`}
        />
        <SelectField
          id="size"
          label="Size"
          value={fields.size}
          set={(size) => {
            set({ size });
          }}
          options={[['', own], ...sizes.slice(1).map((size) => [size, size] as const)]}
        />
        {loras.length > 0 && (
          <SelectField
            id="lora"
            label="LoRA"
            value={fields.lora}
            set={(lora) => {
              set({ lora });
            }}
            options={named(loras, 'none')}
          />
        )}
        <Beginning fields={fields} set={set} />
      </div>
    </fieldset>
  );
}
