// Copies what a program needs to another folder, as far as @vercel/nft finds it.
//
//   node trace.mjs PROGRAM FOLDER
import { cp } from 'node:fs/promises';
import { join } from 'node:path';

import { nodeFileTrace } from '@vercel/nft';

const [program, folder] = process.argv.slice(2);
const { fileList, warnings } = await nodeFileTrace([program]);
for (const warning of warnings) console.log(String(warning.message).split('\n', 1)[0]);
for (const file of fileList) await cp(file, join(folder, file));
console.log(`${fileList.size} files`);
