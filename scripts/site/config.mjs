// VitePress' configuration of the site; scripts/site/main.mjs lays out the pages that it reads.
import { groups } from './pages.mjs';

const sidebar = Object.entries(groups).map(([text, pages]) => ({
  text,
  collapsed: false,
  items: Object.entries(pages).map(([page, title]) => ({ text: title, link: `/docs/${page}` })),
}));

/** @type {import('vitepress').UserConfig} */
export default {
  title: 'dpm-native',
  description: 'Diffusion probabilistic models from Node at native speed',
  // Seen from build/site-source.
  outDir: '../site',
  cleanUrls: true,
  themeConfig: {
    nav: [
      { text: 'Getting started', link: '/docs/getting-started' },
      { text: 'Samplers', link: '/docs/samplers' },
      { text: 'HTTP', link: '/docs/http' },
      { text: 'API', link: '/api/' },
    ],
    sidebar,
    outline: [2, 3],
    search: { provider: 'local' },
  },
  markdown: { theme: { light: 'github-light', dark: 'github-dark' } },
};
