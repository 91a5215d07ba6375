// The addon of this platform. What traces a program's files (Next.js, @vercel/nft) knows this line.
module.exports = require('node-gyp-build')(__dirname);
