import { renameTensors, type Checkpoint } from '../checkpoint.js';
import { canonicalDiffusersName } from '../diffusers.js';
import { findWeights, openWeights } from '../weight-files.js';
import { compareWeights, requireMatchingWeights } from '../weight-report.js';

/**
 * Opens the weights of a network's folder in diffusers' layout, by the names of today.
 *
 * @param required - Shapes of all weights that it has to have, by their names.
 * @throws {@link DpmError} naming the file, or the tensor that is missing, unused or of another shape.
 */
export async function folderWeights(folder: string, required: Map<string, number[]>): Promise<Checkpoint> {
  const { checkpoint } = await openWeights(await findWeights(folder, 'diffusion_pytorch_model'));
  const named = renameTensors(checkpoint, canonicalDiffusersName);
  requireMatchingWeights(compareWeights(required, named), named);
  return named;
}
