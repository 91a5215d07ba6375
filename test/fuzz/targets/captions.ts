// Lines of captions, and the vocabulary that is learned from their texts.
import { readCaptions } from '../../../lib/training/data/captions.js';
import { learnedTokenizer, tokenizedCaptions } from '../../../lib/training/captions/tokenized-captions.js';
import { fileOf, takenOrRefused } from '../refused.js';

export async function fuzz(data: Buffer): Promise<void> {
  const path = fileOf(data, 'captions.jsonl');
  await takenOrRefused(async () => {
    const { byName, byIndex } = await readCaptions(path);
    if (byName.size > 0 && byIndex.size > 0) throw new Error(`${byName.size} names and ${byIndex.size} places`);
    const texts = [...byName.values(), ...byIndex.values()];
    const { tokenizer } = learnedTokenizer(texts, { size: 600, length: 8 });
    const { tokens, firstTexts } = tokenizedCaptions(texts, tokenizer);
    const wrong = tokens.find((id) => id < 0 || id >= tokenizer.vocabulary);
    if (wrong !== undefined || tokens.length !== 8 * (firstTexts.at(-1) ?? 0)) {
      throw new Error(`${tokens.length} ids, one ${wrong ?? 'right'}`);
    }
  });
}
