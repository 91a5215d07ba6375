import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** Of this package. */
export const { version } = require('../../package.json') as { version: string };

/** Of dpm-native, whose bits may differ from one to the next. */
export const { version: libraryVersion } = require('dpm-native/package.json') as { version: string };
