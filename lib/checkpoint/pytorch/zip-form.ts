import type { FileHandle } from 'node:fs/promises';

import { DpmError } from '../../base/errors.js';
import { findZipEnd } from '../../files/zip-end.js';
import { entryPosition, readEntry, readZipDirectory, type ZipEntry } from '../../files/zip-entries.js';
import { MAX_PICKLE_BYTES } from './limits.js';
import { shortKey, StorageTable } from './pickled-tensors.js';
import type { PytorchStorage } from './tensor.js';
import { unpickle } from './unpickle.js';
import type { PickleValue } from './values.js';

/** Newest version of the archive that PyTorch itself reads. */
const NEWEST_VERSION = 10;

interface Archive {
  file: FileHandle;
  path: string;
  folder: string;
  entries: ReadonlyMap<string, ZipEntry>;
}

/** Refuses an archive that holds a program instead of tensors. */
function refusePrograms({ path, folder, entries }: Archive): void {
  const has = (name: string): boolean => entries.has(`${folder}/${name}`);
  if (has('constants.pkl') || [...entries.keys()].some((name) => name.startsWith(`${folder}/code/`))) {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${path} is a TorchScript archive, a program and not a checkpoint; save its state_dict() with torch.save`,
    );
  }
  if (!has('data.pkl')) {
    const what =
      has('archive_format') || has('models/model.json') ? 'an exported program (torch.export)' : 'no PyTorch file';
    throw new DpmError(
      'ERR_DPM_FILE_HEADER',
      `${path} is a zip archive without ${folder}/data.pkl, ${what}; save a state_dict() with torch.save`,
    );
  }
}

/** Refuses compression, so that nothing small can become large. */
function refuseCompressed({ path, entries }: Archive): void {
  for (const { name, isCompressed } of entries.values()) {
    if (!isCompressed) continue;
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${path}: the entry '${name}' is compressed, which PyTorch does not write; load and save the file with PyTorch`,
    );
  }
}

async function smallText({ file, path, folder, entries }: Archive, name: string): Promise<string | undefined> {
  const entry = entries.get(`${folder}/${name}`);
  if (entry === undefined) return undefined;
  return Buffer.from(await readEntry(file, path, entry, 64))
    .toString('latin1')
    .trim();
}

async function checkVersion(archive: Archive): Promise<void> {
  const version = await smallText(archive, 'version');
  if (version === undefined || !/^\d{1,4}$/.test(version)) {
    throw new DpmError('ERR_DPM_FILE_HEADER', `${archive.path}: the entry ${archive.folder}/version holds no number`);
  }
  if (Number(version) > NEWEST_VERSION) {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${archive.path} has version ${version} of the archive, known are versions up to ${NEWEST_VERSION}`,
    );
  }
  const order = await smallText(archive, 'byteorder');
  if (order !== undefined && order !== 'little') {
    throw new DpmError(
      'ERR_DPM_UNSUPPORTED',
      `${archive.path} has byte order '${order}', only 'little' can be read; save it on a little-endian machine`,
    );
  }
}

async function place({ file, path, folder, entries }: Archive, storage: PytorchStorage): Promise<void> {
  const entry = entries.get(`${folder}/data/${storage.key}`);
  if (entry === undefined) {
    throw new DpmError('ERR_DPM_TENSOR_MISSING', `${path}: there is no entry for storage '${shortKey(storage.key)}'`);
  }
  const surplus = entry.bytes - storage.bytes;
  if (surplus < 0 || surplus >= storage.elementBytes) {
    throw new DpmError(
      'ERR_DPM_TENSOR_SIZE',
      `${path}: the entry '${entry.name}' has ${entry.bytes} bytes, its storage of ${storage.elements} elements ${storage.bytes}`,
    );
  }
  storage.place(await entryPosition(file, path, entry));
}

/**
 * Reads the zip form, which PyTorch writes since 1.6. The pickle's checksum is compared; those of the storages are not, as
 * that would read all of the file.
 *
 * @param size - Size of the file, in bytes
 * @throws {@link DpmError} The errors of {@link unpickle}; `ERR_DPM_FILE_HEADER`, `ERR_DPM_FILE_TRUNCATED`,
 * `ERR_DPM_TENSOR_*` for damage to the archive, `ERR_DPM_UNSUPPORTED` for programs, compressed entries, another version or
 * order of bytes.
 */
export async function readZipForm(file: FileHandle, path: string, size: number): Promise<PickleValue> {
  const archive: Archive = { file, path, ...(await readZipDirectory(file, path, await findZipEnd(file, path, size))) };
  refusePrograms(archive);
  refuseCompressed(archive);
  await checkVersion(archive);
  const entry = archive.entries.get(`${archive.folder}/data.pkl`);
  if (entry === undefined) throw new DpmError('ERR_DPM_INTERNAL', `${path}: data.pkl was not checked`);
  const bytes = await readEntry(file, path, entry, MAX_PICKLE_BYTES);
  const storages = new StorageTable(size, 'zip');
  const source = { where: `${path}: ${entry.name}`, bytes, available: bytes.length, base: 0 };
  const { value, length } = unpickle(source, storages);
  if (length !== bytes.length) {
    throw new DpmError('ERR_DPM_FILE_HEADER', `${source.where} has ${bytes.length - length} bytes behind its pickle`);
  }
  for (const storage of storages.byKey.values()) await place(archive, storage);
  return value;
}
