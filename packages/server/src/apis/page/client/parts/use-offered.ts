import { useEffect, useRef, useState } from 'preact/hooks';

import type { Fields } from '../fields.js';
import type { Model, Sampler } from '../described.js';
import { modelIds, modelOf, samplersById } from '../offered.js';

/** What the server has, as far as it has told. */
export interface Offered {
  readonly modelIds: readonly string[];
  readonly samplers: ReadonlyMap<string, Sampler>;
  /** The model that is chosen. */
  readonly model: Model | undefined;
}

/** Fields after a change: the options are those of the first sampler, and go with it. */
function withOptions(before: Fields, after: Fields): Fields {
  return before.samplers[0] === after.samplers[0] ? after : { ...after, options: {} };
}

/** The fields with what of them fits a model. */
function fitted(fields: Fields, model: Model): Fields {
  const fitting = fields.samplers.filter((name) => name === '' || model.samplers.includes(name));
  const samplers = fitting.some((name) => name !== '') ? fitting : model.samplers.slice(0, 1);
  const label = Number(fields.class) < model.classes ? fields.class : '0';
  const { sizes = [], loras = [] } = model.prompts ?? {};
  const size = sizes.includes(fields.size) ? fields.size : '';
  const lora = loras.includes(fields.lora) ? fields.lora : '';
  return withOptions(fields, { ...fields, samplers, class: label, size, lora, model: model.id });
}

/** Text of an error for people. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

interface ChosenModel extends Offered {
  /** The fields of the form, which fit the model. */
  readonly fields: Fields;
  readonly change: (changed: Partial<Fields>) => void;
}

/**
 * Asks the server what it has, and keeps the fields of the form fitting.
 *
 * @param namesSamplers - Whether the link has named samplers, so that it is told which are not there.
 */
export function useOffered(first: Fields, namesSamplers: boolean, announce: (text: string) => void): ChosenModel {
  const [offered, setOffered] = useState<Offered>({ modelIds: [], samplers: new Map(), model: undefined });
  const [fields, setFields] = useState(first);
  const wanted = useRef('');

  const showModel = async (id: string, asked: readonly string[], isLinked = false): Promise<void> => {
    wanted.current = id;
    const model = await modelOf(id);
    // Meanwhile another model has been chosen.
    if (wanted.current !== id) return;
    setOffered((before) => ({ ...before, model }));
    // Meanwhile other fields may have been changed. A pipeline says how many steps it wants, unless the link does.
    const steps = isLinked ? undefined : model.prompts?.steps;
    setFields((now) => fitted({ ...now, steps: steps === undefined ? now.steps : String(steps) }, model));
    const missing = asked.filter((name) => !model.samplers.includes(name));
    if (missing.length > 0) announce(`${id} has no sampler ${missing.join(', ')}`);
  };

  const showServer = async (): Promise<void> => {
    const [ids, samplers] = await Promise.all([modelIds(), samplersById()]);
    setOffered((before) => ({ ...before, modelIds: ids, samplers }));
    const isThere = ids.includes(first.model);
    if (first.model !== '' && !isThere) announce(`There is no model ${first.model} here`);
    const id = isThere ? first.model : ids[0];
    if (id === undefined) announce('No model is loaded');
    else await showModel(id, namesSamplers ? first.samplers : [], isThere);
  };

  useEffect(() => {
    showServer().catch((error: unknown) => {
      announce(`The server does not say what it has: ${messageOf(error)}`);
    });
    // Once, when the page is there.
  }, []);

  const change = (changed: Partial<Fields>): void => {
    setFields((now) => withOptions(now, { ...now, ...changed }));
    const { model } = offered;
    if (changed.model === undefined || changed.model === model?.id) return;
    // Until it is described nothing is drawn: classes and samplers would be those of the other one.
    setOffered((before) => ({ ...before, model: undefined }));
    showModel(changed.model, []).catch((error: unknown) => {
      announce(messageOf(error));
      if (model === undefined || wanted.current !== changed.model) return;
      setOffered((before) => ({ ...before, model }));
      setFields((now) => ({ ...now, model: model.id }));
    });
  };
  return { ...offered, fields, change };
}
