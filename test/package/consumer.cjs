'use strict';
// Run by scripts/check-package in a project that has installed the tarball: both ways to load the package, and what a
// user may count on right after installing it.
const assert = require('node:assert/strict');

function check(name, library) {
  const usable = Object.fromEntries(library.devices().map((device) => [device.name, device.usable]));
  assert.equal(usable.cpu, true, `${name}: the cpu device is not usable: ${JSON.stringify(library.devices())}`);
  assert.equal(usable.reference, true, `${name}: the plug-in did not travel: ${JSON.stringify(library.devices())}`);
  assert.equal(typeof library.DiffusionModel.load, 'function');
}

if (process.argv[2] === 'require') check('require', require('dpm-native'));
else import('dpm-native').then((library) => check('import', library));
