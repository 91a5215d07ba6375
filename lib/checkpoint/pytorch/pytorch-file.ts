import type { FileHandle } from 'node:fs/promises';

import { DpmError } from '../../base/errors.js';
import { readExactly, withFile } from '../../files/files.js';
import { readLegacyForm } from './legacy-form.js';
import type { PickleValue } from './values.js';
import { readZipForm } from './zip-form.js';

/** Content of a PyTorch file. Its tensors know where their values lie; no values have been read. */
export interface PytorchFile {
  path: string;
  /** Form: `zip` since PyTorch 1.6, `legacy` before. */
  form: 'zip' | 'legacy';
  root: PickleValue;
}

const TAR_MAGIC_OFFSET = 257;

/** Describes a file that is no PyTorch file, and what to do; undefined for none of the usual mistakes. */
function otherKind(start: Uint8Array): string | undefined {
  const text = Buffer.from(start).toString('latin1');
  if (text.startsWith('version https://git-lfs')) {
    return 'is a Git LFS pointer, not the file itself; fetch it with git lfs pull';
  }
  if (/^\s*<(?:!doctype|html|\?xml|head)/i.test(text)) {
    return 'is a web page, not the file itself; the download went to a page of the site instead';
  }
  if (text.startsWith('ustar', TAR_MAGIC_OFFSET)) {
    return (
      'is a tar archive, as PyTorch before 0.1.10 wrote them (or others); ' +
      'convert it with torch.load and torch.save in a PyTorch that reads it, with weights_only=False and only if you trust it'
    );
  }
  if (start[8] === 0x7b) return 'looks like a safetensors file; give it a name that ends in .safetensors';
  return undefined;
}

/** Tells whether a pickle begins: with the opcode PROTO, or LONG in protocols 0 and 1, which have no PROTO. */
function isPickle(start: Uint8Array): boolean {
  return start[0] === 0x80 || start[0] === 0x4c;
}

async function readForm(file: FileHandle, path: string, size: number): Promise<PytorchFile> {
  const start = await readExactly(file, path, 0, Math.min(size, 512));
  if (size < 22) {
    throw new DpmError('ERR_DPM_FILE_TRUNCATED', `${path} has ${size} bytes, no PyTorch file is so short`);
  }
  if (Buffer.from(start.subarray(0, 4)).toString('latin1') === 'PK\x03\x04') {
    return { path, form: 'zip', root: await readZipForm(file, path, size) };
  }
  const kind = otherKind(start);
  if (kind === undefined && isPickle(start)) {
    return { path, form: 'legacy', root: await readLegacyForm(file, path, size) };
  }
  throw new DpmError(
    'ERR_DPM_FILE_HEADER',
    `${path} ${kind ?? 'is not a PyTorch file: it begins neither as a zip archive nor as a pickle'}`,
  );
}

/**
 * Opens a PyTorch checkpoint (.pt, .pth, .bin, .ckpt) without running anything in it. Only the description is read, no
 * values.
 *
 * @throws {@link DpmError} `ERR_DPM_PICKLE` naming the global or opcode that is not allowed; `ERR_DPM_FILE_HEADER`,
 * `ERR_DPM_FILE_TRUNCATED` and `ERR_DPM_TENSOR_*` for damage; `ERR_DPM_UNSUPPORTED` for archives that hold programs,
 * compressed entries and the like; `ERR_DPM_FILE`.
 */
export async function readPytorchFile(path: string): Promise<PytorchFile> {
  return withFile(path, (file, size) => readForm(file, path, size));
}
