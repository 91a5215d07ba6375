import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

import { token } from '../server.js';

/** Asks for the server's token, and gives the focus back to where it was. */
export function TokenForm({ reason }: { reason: string }): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    input.current?.focus();
    return () => {
      const target = before === document.body ? document.getElementById('model') : before;
      if (target instanceof HTMLElement) target.focus();
    };
  }, []);
  const submit = (event: Event): void => {
    event.preventDefault();
    if (input.current !== null) token.give(input.current.value);
  };
  return (
    <form id="token-form" class="panel" onSubmit={submit}>
      <fieldset>
        <legend>Token</legend>
        <p id="token-reason" class="refusal">
          {reason}
        </p>
        <p class="field">
          <label for="token">Token of this server</label>
          <input
            id="token"
            ref={input}
            type="password"
            autocomplete="off"
            spellcheck={false}
            required
            pattern="[!-~]+"
            title="Printable characters without spaces"
            aria-describedby="token-reason token-hint"
          />
          <small id="token-hint">Kept until this tab is closed.</small>
        </p>
        <button class="first">Use token</button>
      </fieldset>
    </form>
  );
}
