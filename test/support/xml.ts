/** An element of a well-formed document. */
export interface XmlElement {
  name: string;
  attributes: Readonly<Partial<Record<string, string>>>;
  children: XmlElement[];
  /** Text of its own, entities resolved. */
  text: string;
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };

function resolved(text: string): string {
  if (/[<>"]/.test(text)) throw new Error(`a bare character in '${text}'`);
  return text.replace(/&([^;]{0,9});?/g, (whole, name: string) => {
    const character = whole.endsWith(';') ? entities[name] : undefined;
    if (character === undefined) throw new Error(`'${whole}' is no entity`);
    return character;
  });
}

function attributesOf(source: string): Record<string, string> {
  const attributes: Record<string, string> = {};
  const rest = source.replace(/\s+([\w-]+)="([^"]*)"/g, (_, name: string, value: string) => {
    if (name in attributes) throw new Error(`${name} is there twice`);
    attributes[name] = resolved(value);
    return '';
  });
  if (rest.trim() !== '') throw new Error(`'${rest}' are no attributes`);
  return attributes;
}

/** Parses a document of elements and text, and throws where it is not well-formed. */
export function parseXml(source: string): XmlElement {
  const root: XmlElement = { name: '', attributes: {}, children: [], text: '' };
  const open = [root];
  for (const [, slash, name = '', attributes = '', closed, text] of source.matchAll(
    /<(\/?)([\w-]+)((?:\s+[\w-]+="[^"]*")*)\s*(\/?)>|([^<]+|<)/g,
  )) {
    const parent = open.at(-1)!;
    if (text !== undefined) {
      parent.text += resolved(text);
    } else if (slash === '/') {
      if (open.pop()?.name !== name) throw new Error(`</${name}> closes another element`);
    } else {
      const child: XmlElement = { name, attributes: attributesOf(attributes), children: [], text: '' };
      parent.children.push(child);
      if (closed !== '/') open.push(child);
    }
  }
  if (open.length !== 1 || root.children.length !== 1 || root.text.trim() !== '') throw new Error('not one root');
  return root.children[0]!;
}

/** All elements inside an element, itself included, that satisfy a condition. */
export function findAll(element: XmlElement, matches: (each: XmlElement) => boolean): XmlElement[] {
  return [...(matches(element) ? [element] : []), ...element.children.flatMap((child) => findAll(child, matches))];
}

/** Elements of a class. */
export const group = (svg: XmlElement, name: string): XmlElement[] =>
  findAll(svg, ({ attributes }) => attributes.class === name);

/** All text of an element. */
export const texts = (element: XmlElement): string[] =>
  findAll(element, ({ name }) => name === 'text').map(({ text }) => text);
