/** An event of a stream. */
export interface StreamEvent {
  readonly event: string;
  readonly data: string;
}

/** Cuts the text of an event stream into its events, wherever the network has cut it. */
export class EventParser {
  #line = '';
  #endedByReturn = false;
  #event = '';
  #data: string[] = [];

  /** The events that this much more text completes. An event that never ends is none. */
  push(text: string): StreamEvent[] {
    // A line feed that begins a piece may belong to the carriage return that ended the one before.
    const rest = this.#endedByReturn && text.startsWith('\n') ? text.slice(1) : text;
    if (text !== '') this.#endedByReturn = text.endsWith('\r');
    const lines = (this.#line + rest).split(/\r\n|\r|\n/);
    this.#line = lines.pop() ?? '';
    return lines.flatMap((line) => this.#read(line));
  }

  #read(line: string): StreamEvent[] {
    if (line === '') return this.#ended();
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === 'event') this.#event = value;
    if (field === 'data') this.#data.push(value);
    return [];
  }

  #ended(): StreamEvent[] {
    const ended = { event: this.#event || 'message', data: this.#data.join('\n') };
    const isEvent = this.#data.length > 0;
    this.#event = '';
    this.#data = [];
    return isEvent ? [ended] : [];
  }
}

/** The events of an answer's body. */
export async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent, void, void> {
  const parser = new EventParser();
  const decoder = new TextDecoder();
  // Safari's streams cannot be iterated.
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    // A stream that has failed rejects this, too.
    reader.cancel().catch(() => undefined);
  }
}
