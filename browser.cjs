// What bundlers for browsers and edge runtimes take in the place of this package.
throw new Error(
  'dpm-native runs native code, which a browser or an edge runtime does not: import it where Node, Bun or Deno runs ' +
    "(a server, Electron's main process), or ask a server for samples (npm install dpm-native-server, npx dpm serve)",
);
