import { listNames } from '../../../base/arrays.js';
import { DpmError } from '../../../base/errors.js';
import type { Footer } from '../../../files/parquet/footer.js';
import type { Leaf } from '../../../files/parquet/schema.js';

/** Names of columns of labels, the first of which is taken: `fine_label` is that of CIFAR-100. */
const labelNames = ['label', 'labels', 'fine_label'];

/** Names of columns of images, where several could be. */
const imageNames = ['image', 'img', 'images', 'picture', 'png', 'jpg', 'jpeg'];

/** The columns that are read. */
export interface ImageColumns {
  /** Bytes of the pictures. */
  readonly image: Leaf;
  /** Classes; null without them. */
  readonly label: Leaf | null;
}

const nameOf = ({ path }: Leaf): string => path[0] ?? '';

/** Tells whether a column is one of pictures: bytes that are no text, or such bytes in a struct, as `{ bytes, path }`. */
function isOfImages({ path, type, meaning, isRepeated }: Leaf): boolean {
  if (type !== 'BYTE_ARRAY' || meaning !== 'plain' || isRepeated) return false;
  return path.length === 1 || (path.length === 2 && path[1] === 'bytes');
}

function imageColumn({ path, leaves }: Footer): Leaf {
  const found = leaves.filter(isOfImages);
  const named = imageNames.flatMap((name) => found.filter((leaf) => nameOf(leaf) === name));
  const [first, ...others] = named.length > 0 ? named.slice(0, 1) : found;
  if (first === undefined) {
    const there = listNames(leaves.map((leaf) => `${leaf.path.join('.')} (${leaf.type})`));
    throw new DpmError('ERR_DPM_TENSOR_MISSING', `${path} has no column of images; its columns: ${there}`);
  }
  if (others.length > 0) {
    const there = listNames(found.map(nameOf));
    throw new DpmError('ERR_DPM_UNSUPPORTED', `${path} has several columns of bytes: ${there}; none is named image`);
  }
  return first;
}

function labelColumn({ path, leaves }: Footer): Leaf | null {
  const found = labelNames.flatMap((name) => leaves.filter((leaf) => nameOf(leaf) === name));
  const [first] = found;
  if (first === undefined) return null;
  const isInteger = (first.type === 'INT32' || first.type === 'INT64') && first.meaning !== 'other';
  if (isInteger && !first.isRepeated && first.path.length === 1) return first;
  throw new DpmError(
    'ERR_DPM_UNSUPPORTED',
    `${path}: column '${first.path.join('.')}' (${first.type}) has no integer for each image; labels: false leaves it out`,
  );
}

/**
 * Finds the columns of images and of labels.
 *
 * @param labels - False: there are to be no labels.
 * @throws {@link DpmError} Naming the file: `ERR_DPM_TENSOR_MISSING` with its columns if none is one of images,
 * `ERR_DPM_UNSUPPORTED` if it is not clear which one, or if labels are no integers.
 */
export function columnsOf(footer: Footer, labels: boolean): ImageColumns {
  return { image: imageColumn(footer), label: labels ? labelColumn(footer) : null };
}
