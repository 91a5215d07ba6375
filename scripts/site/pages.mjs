// The pages of the site, in the order of its sidebar.

/** Groups of pages of docs/, by their headings. Every page is in one of them. */
export const groups = {
  Begin: {
    'getting-started': 'Getting started',
    'your-own-model': 'A diffusers model of your own',
    'coming-from-diffusers': 'Coming from diffusers',
    recipes: 'Recipes',
    'what-works': 'What works',
  },
  Draw: {
    library: 'In a program',
    samplers: 'Samplers',
    checkpoints: 'Checkpoints',
    'text-to-image': 'Text to image',
    guidance: 'Guidance',
    translation: 'Translation',
    quality: 'Quality',
  },
  Train: {
    training: 'A model of your images',
    'train-your-own': 'Text to image of your own',
  },
  Serve: {
    serving: 'One batch for all',
    http: 'HTTP',
    jobs: 'Jobs',
  },
  'Command line': {
    'command-line': 'At work',
    commands: 'All commands',
  },
  Know: {
    'how-it-works': 'How it works',
    glossary: 'Glossary',
    threads: 'Threads',
    memory: 'Memory',
    systems: 'Systems',
    cuda: 'NVIDIA cards',
    environment: 'Environment variables',
  },
  Mend: {
    errors: 'Errors',
    troubleshooting: 'Troubleshooting',
  },
};
