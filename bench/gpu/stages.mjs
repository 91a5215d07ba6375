// What is done on the card, in this order, and how many seconds each part may take: less than 20 minutes together. `without`
// marks what also works where there is no card.
export const stages = [
  { name: 'versions', script: 'versions.mjs', seconds: 60, without: true },
  { name: 'device tests', script: 'device-tests.mjs', seconds: 210 },
  { name: 'memcheck', script: 'sanitizer.mjs', parameters: ['memcheck'], seconds: 120 },
  { name: 'racecheck', script: 'sanitizer.mjs', parameters: ['racecheck'], seconds: 90 },
  { name: 'parity', script: 'parity.mjs', seconds: 90 },
  { name: 'evaluation', script: 'evaluate.mjs', seconds: 450 },
  { name: 'update', script: 'update.mjs', seconds: 60 },
  { name: 'overhead', script: 'overhead.mjs', seconds: 90 },
];

export const LONGEST_SECONDS = 1190;
