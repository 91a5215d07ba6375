// Arrays of NumPy alone, of any type.
import { parseNpy, valuesOfNumpy } from '../../../lib/training/data/npy.js';
import { takenOrRefused } from '../refused.js';

export async function fuzz(data: Buffer): Promise<void> {
  await takenOrRefused(() => {
    const array = parseNpy('a.npy', data);
    const elements = array.shape.reduce((product, size) => product * size, 1);
    const values = valuesOfNumpy(array);
    if (values.length !== elements) throw new Error(`${values.length} elements of [${array.shape.join(', ')}]`);
  });
}
