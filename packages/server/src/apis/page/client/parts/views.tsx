import type { JSX } from 'preact';

import type { View } from '../fields.js';

const names = { draw: 'Draw', compare: 'Compare', jobs: 'Jobs' } as const satisfies Record<View, string>;

/** The view that a link names. */
export function viewOf(query: URLSearchParams): View {
  const name = query.get('view');
  return name === 'compare' || name === 'jobs' ? name : 'draw';
}

interface ViewsProps {
  readonly view: View;
  readonly takesJobs: boolean;
  readonly choose: (view: View) => void;
}

/** The views of the page, and the API. */
export function Views({ view, takesJobs, choose }: ViewsProps): JSX.Element {
  const shown = (Object.keys(names) as View[]).filter((name) => name !== 'jobs' || takesJobs || view === 'jobs');
  return (
    <nav aria-label="Views">
      {shown.map((name) => (
        <a
          key={name}
          href={name === 'draw' ? '?' : `?view=${name}`}
          aria-current={name === view ? 'page' : undefined}
          onClick={(event) => {
            event.preventDefault();
            choose(name);
          }}
        >
          {names[name]}
        </a>
      ))}
      <a href="docs">API</a>
    </nav>
  );
}
