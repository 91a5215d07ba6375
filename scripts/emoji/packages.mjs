// The packages that the pictures and their texts are of: drawings of two styles, names and tags of emoji, and what draws.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const home = fileURLToPath(new URL('../../.toolchain/emoji', import.meta.url));

/** Exact versions, as others have other drawings; the last one is needed to make the data, and no part of them. */
export const packages = [
  {
    name: '@iconify-json/noto',
    version: '1.2.9',
    what: 'Noto Emoji, drawings',
    owner: 'Google Inc',
    licence: 'Apache-2.0',
  },
  {
    name: '@iconify-json/fluent-emoji-flat',
    version: '1.2.6',
    what: 'Fluent Emoji Flat, drawings',
    owner: 'Microsoft Corporation',
    licence: 'MIT',
  },
  {
    name: 'emojibase-data',
    version: '17.0.0',
    what: 'Emojibase, names and tags',
    owner: 'Miles Johnson',
    licence: 'MIT',
  },
  { name: '@resvg/resvg-js', version: '2.6.2', what: 'resvg, which draws', owner: 'yisibl', licence: 'MPL-2.0' },
];

/** Names of the styles in captions, and where their drawings are. */
export const styles = { noto: '@iconify-json/noto', flat: '@iconify-json/fluent-emoji-flat' };

const inPackage = (name, file) => join(home, 'node_modules', name, file);
const readPackage = (name, file) => JSON.parse(readFileSync(inPackage(name, file), 'utf8'));

/** Fetches the packages that are not there. */
export function install() {
  const isThere = ({ name, version }) =>
    existsSync(inPackage(name, 'package.json')) && readPackage(name, 'package.json').version === version;
  if (packages.every(isThere)) return;
  mkdirSync(home, { recursive: true });
  const wanted = packages.map(({ name, version }) => `${name}@${version}`);
  const options = ['--prefix', home, '--save-exact', '--ignore-scripts', '--no-audit', '--no-fund'];
  // Windows has npm as a batch file, which needs a shell.
  execFileSync('npm', ['install', ...options, ...wanted], { stdio: 'inherit', shell: process.platform === 'win32' });
}

/** The text of the MIT licence behind its line of copyright, which packages of drawings do not bring. */
export function permission() {
  const text = readFileSync(inPackage('emojibase-data', 'LICENSE'), 'utf8');
  return text.slice(text.indexOf('Permission is hereby granted'));
}

/** The class that draws SVG. */
export function renderer() {
  return createRequire(join(home, 'package.json'))('@resvg/resvg-js').Resvg;
}

/** Text with the quotes that keyboards have. */
const plain = (text) => text.replace(/[‘’]/g, "'").replace(/[“”]/g, '"').replace(/[–—]/g, '-');

/** Drawings that are left out: resvg 2.6.2 ends the process at one, and one hides the background. */
const leftOut = { noto: ['package'], flat: ['face-in-clouds'] };

/** Groups of emojibase that are no pictures of their own (skin tones, hair), and flags. */
const [COMPONENTS, FLAGS] = [2, 9];

/** All emoji but flags and components, in the order of Unicode: code points, name and tags. Skin tones are inside of them. */
export function readEmoji() {
  return readPackage('emojibase-data', 'en/data.json')
    .filter(({ group }) => group !== undefined && group !== COMPONENTS && group !== FLAGS)
    .sort((a, b) => a.order - b.order)
    .map(({ hexcode, emoji, label, tags = [] }) => ({
      hexcode,
      emoji,
      label: plain(label),
      tags: tags.map(plain).filter((tag) => /[\p{L}\p{N}]/u.test(tag)),
    }));
}

/** Code points without those that only choose between picture and text, which not all packages have in their names. */
const pictureOf = (hexcode) => hexcode.toLowerCase().replaceAll('-fe0f', '');

/** SVG of an icon of a package, one that is turned or mirrored left out: undefined. */
function svgOf({ icons, aliases = {}, width: allWidth = 16, height: allHeight = 16 }, name) {
  const alias = aliases[name];
  const isSame = alias === undefined || Object.keys(alias).join() === 'parent';
  const icon = icons[alias?.parent ?? name];
  if (icon === undefined || !isSame) return undefined;
  const { body, left = 0, top = 0, width = allWidth, height = allHeight } = icon;
  const namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"';
  return `<svg ${namespaces} viewBox="${left} ${top} ${width} ${height}">${body}</svg>`;
}

/** Gives the SVG of an emoji in a style; undefined: it has none there. */
export function drawingsOf(style) {
  const [icons, characters] = ['icons.json', 'chars.json'].map((file) => readPackage(styles[style], file));
  const names = new Map(Object.entries(characters).map(([hexcode, name]) => [pictureOf(hexcode), name]));
  return ({ hexcode }) => {
    const name = names.get(pictureOf(hexcode));
    return leftOut[style].includes(name) ? undefined : svgOf(icons, name);
  };
}
