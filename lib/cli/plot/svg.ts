/** Attributes of an element; an absent one is left out. */
export type Attributes = Readonly<Record<string, string | number | undefined>>;

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Characters that XML 1.0 does not have, lone surrogates included. */
const forbidden = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu;

/** Escapes a text for the content of an element or the value of an attribute. */
export function escapeText(text: string): string {
  return text.replace(forbidden, '\ufffd').replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

/** A number with at most two decimals, which is finer than a screen. */
export function coordinate(value: number): string {
  return String(Math.round(value * 100) / 100);
}

function attribute([name, value]: [string, string | number | undefined]): string {
  if (value === undefined) return '';
  return ` ${name}="${typeof value === 'number' ? coordinate(value) : escapeText(value)}"`;
}

/** An element with children that are markup already. */
export function element(name: string, attributes: Attributes, ...children: readonly string[]): string {
  const start = `<${name}${Object.entries(attributes).map(attribute).join('')}`;
  return children.length === 0 ? `${start}/>` : `${start}>${children.join('')}</${name}>`;
}

/** Makes a text element at a place. */
export function textElement(text: string, attributes: Attributes): string {
  return element('text', attributes, escapeText(text));
}
