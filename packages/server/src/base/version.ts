import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** The version of this package. */
export const { version } = require('../../package.json') as { version: string };

/** The version of dpm-native. Samples may differ in their last bits between versions. */
export const { version: libraryVersion } = require('dpm-native/package.json') as { version: string };
