import type { JSX } from 'preact';

/** The one place whose changes screen readers read. */
export function Announcements({ texts }: { texts: readonly string[] }): JSX.Element {
  return (
    <div id="announcements" role="status" aria-live="polite" aria-atomic="false">
      {texts.map((text, index) => (
        <p key={index}>{text}</p>
      ))}
    </div>
  );
}
