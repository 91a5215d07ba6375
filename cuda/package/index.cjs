// The files of this package, builds for newer drivers first. Tracers of a program's files know these lines.
const { existsSync } = require('node:fs');
const { join } = require('node:path');

module.exports = {
  plugins: [join(__dirname, 'libdpm_cuda.so'), join(__dirname, 'libdpm_cuda12.so')].filter((file) => existsSync(file)),
};
