/** An option of a sampler, as `GET /v1/samplers` describes it. */
export interface SamplerOption {
  readonly description: string;
  readonly type?: 'number' | 'integer' | 'boolean' | 'string';
  readonly values?: readonly string[];
}

export interface Sampler {
  readonly id: string;
  readonly summary: string;
  readonly kind: 'step' | 'host' | 'either';
  readonly options: Readonly<Record<string, SamplerOption>>;
}

/** A model, as `GET /v1/models/{id}` describes it. */
export interface Model {
  readonly id: string;
  readonly kind: 'pixels' | 'prompts';
  readonly shape: readonly [channels: number, height: number, width: number];
  readonly classes: number;
  readonly labels: readonly string[];
  readonly parameters: number;
  readonly device: string;
  readonly samplers: readonly string[];
  /** What requests for images of texts may say; absent where it draws none. */
  readonly prompts?: {
    readonly sizes: readonly string[];
    readonly steps: number;
    readonly guidance: number;
    readonly loras: readonly string[];
    readonly previews: boolean;
  };
  readonly batcher: { readonly rows: number; readonly capacityRowsPerSecond: number; readonly expectedWaitMs: number };
}

/** What a model draws, in words. */
export function kindOf({ shape: [channels, height, width], classes, prompts, parameters, device }: Model): string {
  const colours = channels === 1 ? 'grey' : 'in colour';
  const of = prompts !== undefined ? 'draws texts' : classes > 0 ? `${classes} classes` : 'no classes';
  return `${height} x ${width} pixels, ${colours}; ${of}; ${(parameters / 1e6).toFixed(1)} M parameters on ${device}`;
}

/** The name of a class. */
export function className({ labels }: Model, label: number): string {
  return labels[label] ?? `class ${label}`;
}
