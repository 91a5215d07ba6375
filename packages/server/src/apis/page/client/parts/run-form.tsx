import type { JSX } from 'preact';

import { MOST_SAMPLERS, type Fields, type View } from '../fields.js';
import { className, kindOf, type Model, type Sampler } from '../described.js';
import { limits } from '../limits.js';
import { InputField, SelectField } from './fields.js';
import { PromptFields } from './prompt-fields.js';
import { SamplerOptions } from './sampler-options.js';

export interface RunFormProps {
  readonly view: View;
  readonly fields: Fields;
  readonly set: (changed: Partial<Fields>) => void;
  readonly modelIds: readonly string[];
  /** Undefined until the server has described it. */
  readonly model: Model | undefined;
  readonly samplers: ReadonlyMap<string, Sampler>;
  readonly isRunning: boolean;
  readonly run: () => void;
  readonly stop: () => void;
  /** Starts a job in place of a run; absent where the server takes none. */
  readonly startJob?: (() => void) | undefined;
}

function ModelField({ fields, set, modelIds, model }: RunFormProps): JSX.Element {
  return (
    <SelectField
      id="model"
      label="Model"
      required
      value={fields.model}
      set={(id) => {
        set({ model: id });
      }}
      hint={model === undefined ? undefined : kindOf(model)}
      options={modelIds.map((id) => [id, id])}
    />
  );
}

function Numbers({ view, fields, set }: RunFormProps): JSX.Element {
  return (
    <>
      <InputField
        id="steps"
        label="Steps"
        range={{ min: limits.leastSteps, max: limits.mostSteps, step: '1' }}
        required
        value={fields.steps}
        set={(steps) => {
          set({ steps });
        }}
        hint="Network evaluations of each sample."
      />
      {view === 'draw' && (
        <InputField
          id="count"
          label="Count"
          range={{ min: '1', max: limits.mostSamples, step: '1' }}
          required
          value={fields.count}
          set={(count) => {
            set({ count });
          }}
        />
      )}
      <InputField
        id="seed"
        label="Seed"
        digits={20}
        value={fields.seed}
        set={(seed) => {
          set({ seed });
        }}
        hint="Empty: one is drawn."
      />
    </>
  );
}

const samplerNames = (model: Model | undefined): (readonly [string, string])[] =>
  (model?.samplers ?? []).map((name) => [name, name]);

function SamplerField({ fields, set, model, samplers }: RunFormProps): JSX.Element {
  const [first = '', ...others] = fields.samplers;
  return (
    <SelectField
      id="sampler"
      label="Sampler"
      required
      value={first}
      set={(name) => {
        set({ samplers: [name, ...others] });
      }}
      hint={samplers.get(first)?.summary}
      options={samplerNames(model)}
    />
  );
}

function ComparedFields({ fields, set, model }: RunFormProps): JSX.Element {
  const names = samplerNames(model);
  return (
    <fieldset>
      <legend>Samplers</legend>
      <div id="samplers" class="fields">
        {Array.from({ length: MOST_SAMPLERS }, (_, i) => (
          <SelectField
            key={i}
            id={`sampler-${i + 1}`}
            label={`Sampler ${i + 1}`}
            value={fields.samplers[i] ?? ''}
            set={(name) => {
              const chosen = Array.from({ length: MOST_SAMPLERS }, (_each, k) => fields.samplers[k] ?? '');
              set({ samplers: chosen.map((each, k) => (k === i ? name : each)) });
            }}
            options={[['', 'none'], ...names]}
          />
        ))}
      </div>
    </fieldset>
  );
}

function ClassFields({ fields, set, model }: RunFormProps & { model: Model }): JSX.Element {
  return (
    <fieldset id="classes">
      <legend>Condition</legend>
      <div class="fields">
        <SelectField
          id="class"
          label="Class"
          value={fields.class}
          set={(label) => {
            set({ class: label });
          }}
          options={Array.from({ length: model.classes }, (_, i) => [String(i), className(model, i)])}
        />
        <InputField
          id="guidance"
          label="Guidance"
          range={{ step: 'any' }}
          value={fields.guidance}
          set={(guidance) => {
            set({ guidance });
          }}
          hint="Empty: none."
        />
      </div>
    </fieldset>
  );
}

/** The form of a run: what is drawn, and how. */
export function RunForm(props: RunFormProps): JSX.Element {
  const { view, fields, set, model, samplers, isRunning, run, stop, startJob } = props;
  const sampler = samplers.get(fields.samplers[0] ?? '');
  return (
    <form
      id="run-form"
      class="panel"
      aria-label="Run"
      onSubmit={(event) => {
        event.preventDefault();
        run();
      }}
    >
      <div class="fields">
        <ModelField {...props} />
        {view === 'draw' && <SamplerField {...props} />}
        <Numbers {...props} />
      </div>
      {model?.prompts !== undefined && <PromptFields fields={fields} set={set} prompts={model.prompts} />}
      {view === 'compare' && <ComparedFields {...props} />}
      {view === 'draw' && sampler !== undefined && (
        <SamplerOptions
          sampler={sampler}
          values={fields.options}
          set={(options) => {
            set({ options });
          }}
        />
      )}
      {model !== undefined && model.classes > 0 && <ClassFields {...props} model={model} />}
      <p class="buttons">
        {/* A button that is disabled loses the focus, even if it has just been pressed. */}
        <button id="run" class="first" aria-disabled={isRunning}>
          {view === 'draw' ? 'Draw' : 'Run'}
        </button>
        <button id="stop" type="button" aria-disabled={!isRunning} onClick={stop}>
          Stop
        </button>
        {startJob !== undefined && view === 'draw' && (
          <button id="start-job" type="button" onClick={startJob}>
            Start as a job
          </button>
        )}
      </p>
    </form>
  );
}
