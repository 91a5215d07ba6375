import { unknownName } from '../../base/checks.js';
import type { Family } from '../family.js';
import { diffusersFile } from './diffusers-file.js';
import { edm } from './edm.js';
import { ho } from './ho.js';
import { openaiClassifier } from './openai-classifier.js';
import { openai } from './openai.js';
import { scoreSde } from './score-sde.js';

/** The families of checkpoints, those of diffusers as files without their folder. */
export const families: readonly Family[] = [ho, openaiClassifier, openai, scoreSde, edm, diffusersFile];

/**
 * The family a configuration names.
 *
 * @throws {@link DpmError} `ERR_DPM_ARGUMENT` listing the known ones.
 */
export function familyByName(name: string): Family {
  const found = families.find((family) => family.name === name);
  if (found === undefined) {
    throw unknownName(
      'family',
      name,
      families.map((family) => family.name),
    );
  }
  return found;
}
