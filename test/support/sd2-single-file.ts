// A single file of Stable Diffusion 2, which the folder of the same weights becomes by the names of another fixture.
import { createHash } from 'node:crypto';
import { join } from 'node:path';

import { fileTensors, zeros, type FileTensor, type FileTensors } from './file-tensors.js';
import { latentFixtures } from './latent-goldens.js';

const hash = ({ bytes, shape }: FileTensor): string =>
  createHash('sha256').update(bytes).update(shape.join().replace(/,1,1$/, '')).digest('hex');

/** Pairs the names of equal tensors of the folder `sd1` and of its single file. */
async function pairedNames(part: string, file: string, prefix: string): Promise<Map<string, string>> {
  const single = await fileTensors(join(latentFixtures, 'sd1-single/model.safetensors'));
  const byHash = new Map<string, string[]>();
  for (const [name, tensor] of single) {
    if (name.startsWith(prefix)) byHash.set(hash(tensor), [...(byHash.get(hash(tensor)) ?? []), name]);
  }
  const pairs = new Map<string, string>();
  for (const [name, tensor] of await fileTensors(join(latentFixtures, 'sd1', part, file))) {
    const names = byHash.get(hash(tensor)) ?? [];
    if (names.length !== 1) throw new Error(`${name} equals ${names.length} tensors`);
    pairs.set(name, names[0]!);
  }
  return pairs;
}

function joined(parts: readonly FileTensor[]): FileTensor {
  const [{ dtype, shape }] = parts as [FileTensor];
  return { dtype, shape: [3 * shape[0]!, ...shape.slice(1)], bytes: Buffer.concat(parts.map(({ bytes }) => bytes)) };
}

/** Names of open_clip for a text encoder of three layers, of which the public model has one more that is not used. */
function openClip(encoder: FileTensors): FileTensors {
  const of = (name: string): FileTensor => encoder.get(`text_model.${name}`)!;
  const named: FileTensors = new Map([
    ['token_embedding.weight', of('embeddings.token_embedding.weight')],
    ['positional_embedding', of('embeddings.position_embedding.weight')],
    ['text_projection', zeros(48, 48)],
    ['logit_scale', zeros(1)],
  ]);
  for (const kind of ['weight', 'bias']) {
    named.set(`ln_final.${kind}`, of(`final_layer_norm.${kind}`));
    for (let i = 0; i < 3; ++i) {
      const [from, to] = [`encoder.layers.${i}`, `transformer.resblocks.${i}`];
      const projections = ['q', 'k', 'v'].map((part) => of(`${from}.self_attn.${part}_proj.${kind}`));
      named.set(`${to}.attn.in_proj_${kind}`, joined(projections));
      named.set(`${to}.attn.out_proj.${kind}`, of(`${from}.self_attn.out_proj.${kind}`));
      named.set(`${to}.ln_1.${kind}`, of(`${from}.layer_norm1.${kind}`));
      named.set(`${to}.ln_2.${kind}`, of(`${from}.layer_norm2.${kind}`));
      named.set(`${to}.mlp.c_fc.${kind}`, of(`${from}.mlp.fc1.${kind}`));
      named.set(`${to}.mlp.c_proj.${kind}`, of(`${from}.mlp.fc2.${kind}`));
    }
    named.set(`transformer.resblocks.3.ln_1.${kind}`, zeros(48));
  }
  return named;
}

/** Makes the tensors of a single file of the folder `sd2`. */
export async function sd2SingleFile(): Promise<FileTensors> {
  const weights = 'diffusion_pytorch_model.safetensors';
  const tensors: FileTensors = new Map();
  for (const [part, prefix] of [
    ['unet', 'model.diffusion_model.'],
    ['vae', 'first_stage_model.'],
  ] as const) {
    const names = await pairedNames(part, weights, prefix);
    for (const [name, tensor] of await fileTensors(join(latentFixtures, 'sd2', part, weights))) {
      tensors.set(names.get(name) ?? nameOfShortcut(name, names), tensor);
    }
  }
  const encoder = await fileTensors(join(latentFixtures, 'sd2/text_encoder/model.safetensors'));
  for (const [name, tensor] of openClip(encoder)) tensors.set(`cond_stage_model.model.${name}`, tensor);
  return tensors;
}

/** Name of a convolution beside a residual block that gets wider, which `sd1` has none of in its autoencoder. */
function nameOfShortcut(name: string, names: ReadonlyMap<string, string>): string {
  const beside = names.get(name.replace('.conv_shortcut.', '.conv1.'));
  if (beside === undefined) throw new Error(`no name for ${name}`);
  return beside.replace('.conv1.', '.nin_shortcut.');
}
