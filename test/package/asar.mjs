// Packs a program and what it needs into an archive of Electron and unpacks that again.
//
//   node asar.mjs PROGRAM ARCHIVE FOLDER
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createPackageWithOptions, extractAll, listPackage } from '@electron/asar';

const [program, archive, folder] = process.argv.slice(2);
const application = mkdtempSync(join(tmpdir(), 'dpm-electron-'));
cpSync(program, join(application, program));
cpSync('node_modules', join(application, 'node_modules'), { recursive: true, verbatimSymlinks: true });
// As docs/troubleshooting.md says: what native code opens has to be a file.
await createPackageWithOptions(application, archive, { unpackDir: '**/node_modules/dpm-native/{prebuilds,models}' });

const outside = listPackage(archive, { isPack: true }).filter((line) => line.startsWith('unpack '));
for (const wanted of [
  /prebuilds\/.*\.node$/,
  /prebuilds\/.*libdpm_reference\.so$/,
  /models\/mnist\/unet\/.*\.safetensors$/,
]) {
  const found = outside.map((line) => line.replace(/^unpack *: /, '')).filter((path) => wanted.test(path));
  assert(found.length > 0, `${wanted} is not unpacked: ${outside.length} files are`);
  for (const path of found) assert(existsSync(join(`${archive}.unpacked`, path)), path);
}
extractAll(archive, folder);
