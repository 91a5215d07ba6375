/** Files that the folder of a pipeline may have beside its parts: second moments, and what its makers draw with. */
export const pipelineFiles = { gamma: 'gamma.json', generation: 'generation_config.json' } as const;

/** Files of a tokenizer's folder: those that have to be there, and the others. */
export const tokenizerFiles = {
  required: ['vocab.json', 'merges.txt'],
  others: ['special_tokens_map.json', 'tokenizer_config.json', 'tokenizer.json'],
} as const;

/** Tables of whole numbers that older libraries kept beside the weights of text encoders, and nobody needs. */
export const isPositionTable = (name: string): boolean => /^(text_model\.)?embeddings\.position_ids$/.test(name);
