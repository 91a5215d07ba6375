import { at, joined } from '../base/arrays.js';
import { DpmError } from '../base/errors.js';
import { kindsOf, type OptionFacts } from '../base/option-facts.js';
import { arrayOf, kinds, objectOf, type OptionKinds } from '../base/option-kinds.js';
import { readTokenFile, tablesOfEncoders } from '../checkpoint/pipelines/token-embeddings.js';
import { lowerCase, problemOfToken, withTokens, type AddedToken } from '../text/tokenizer.js';
import { checkedFiles } from './load-options.js';
import type { ReadEncoder } from './prompts.js';

/** A file of the embeddings of a new token, as textual inversion learns them. */
export interface EmbeddingOptions {
  /** Path of the file: of diffusers or of webui, safetensors or a pickle. */
  path: string;
  /** Token that stands for them in prompts, whatever its case. Default: the one that the file says, else the file's name. */
  token?: string | undefined;
}

/** Facts about each option of {@link EmbeddingOptions}. @internal */
export const embeddingOptionFacts = {
  path: { kind: kinds.string, help: 'the file', value: 'FILE' },
  token: {
    kind: kinds.string,
    help: 'token that stands for them in prompts',
    otherwise: 'that of the file',
    value: 'TOKEN',
  },
} as const satisfies OptionFacts<EmbeddingOptions>;

const embeddingKinds: OptionKinds<EmbeddingOptions> = kindsOf<EmbeddingOptions>(embeddingOptionFacts);

/** Kind of lists of files of embeddings, whose entries {@link checkedEmbeddings} checks. @internal */
export const embeddingList = arrayOf('an array of { path, token }', objectOf('{ path, token }'));

/** Checks the entries of a list, and copies them. @throws {@link DpmError} `ERR_DPM_ARGUMENT` naming the entry and its option. */
export function checkedEmbeddings(embeddings: readonly EmbeddingOptions[]): EmbeddingOptions[] {
  return checkedFiles('embeddings', embeddings, embeddingKinds);
}

/**
 * Adds tokens with their embeddings to text encoders.
 *
 * @throws {@link DpmError} naming the file: the errors of {@link readTokenFile}; `ERR_DPM_TENSOR_SHAPE` for vectors that fit no
 * encoder, `ERR_DPM_NOT_FINITE`, `ERR_DPM_ARGUMENT` for a token that is none or is added twice.
 */
export async function withEmbeddings(
  encoders: readonly ReadEncoder[],
  embeddings: readonly EmbeddingOptions[],
): Promise<readonly ReadEncoder[]> {
  if (embeddings.length === 0) return encoders;
  const widths = encoders.map(({ read }) => read.description.width);
  const tokens = encoders.map((): AddedToken[] => []);
  const rows = encoders.map((): Float32Array[] => []);
  const known = new Map<string, string>();
  let vectorsBefore = 0;
  for (const { path, token: given } of embeddings) {
    const file = await readTokenFile(path);
    const token = given ?? file.token;
    const problem = problemOfToken(token);
    if (problem !== null)
      throw new DpmError('ERR_DPM_ARGUMENT', `${path}: its token '${token.slice(0, 80)}' ${problem}`);
    const other = known.get(lowerCase(token));
    if (other !== undefined) {
      throw new DpmError(
        'ERR_DPM_ARGUMENT',
        `${path} and ${other} both are embeddings of '${token}': give one a token`,
      );
    }
    known.set(lowerCase(token), path);
    const tables = tablesOfEncoders(file, widths);
    for (const [i, { vectors, read }] of tables.entries()) {
      const first = at(encoders, i).read.description.vocabulary + vectorsBefore;
      at(tokens, i).push({ token, first, count: vectors });
      at(rows, i).push(await read());
    }
    vectorsBefore += at(tables, 0).vectors;
  }
  return encoders.map(({ tokenizer, read }, i) => ({
    tokenizer: withTokens(tokenizer, at(tokens, i)),
    read: { ...read, added: joined(Float32Array, at(rows, i)) },
  }));
}
