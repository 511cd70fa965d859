// Bars of parts of a whole, with their words beside them.
import { h } from './dom.js';

/** `parts` are `{value, tone, text}`; the bar is drawn for eyes, `label` says it to everyone else. */
export function bar(parts, total, label) {
  return h(
    'div.bar',
    { role: 'img', 'aria-label': label },
    parts
      .filter(({ value }) => value > 0)
      .map(({ value, tone, text }) =>
        h(`span.fill.${tone}`, { style: { width: `${Math.min(100, (100 * value) / (total || 1))}%` }, title: text }),
      ),
  );
}

/** The legend of a bar: swatch, word, value. */
export const key = (entries) =>
  h(
    'ul.key',
    entries.map(({ tone, word, text }) =>
      h('li', h(`span.swatch.${tone}`, { 'aria-hidden': 'true' }), h('span', word), ' ', h('b', text)),
    ),
  );
