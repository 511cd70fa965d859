// Tables that stay still while their rows change: rows are kept by key, so focus, selection and scroll survive an
// update, and only rows that differ are drawn anew.
import { h } from './dom.js';

/**
 * A table of `columns`, each `{key, label, cell(row), class}`; the first column is the row's header.
 * `keyOf(row)` tells rows apart. Answers `{element, update(rows)}`.
 */
export function liveTable({ caption, columns, keyOf, signature = JSON.stringify }) {
  const body = h('tbody');
  const element = h(
    'div.scroll-x',
    { tabindex: 0, role: 'region', 'aria-label': caption },
    h(
      'table',
      h('caption.visually-hidden', caption),
      h(
        'thead',
        h(
          'tr',
          columns.map(({ label, class: name }) => h('th', { scope: 'col', class: name ?? null }, label)),
        ),
      ),
      body,
    ),
  );
  const known = new Map();
  const draw = (row) =>
    h(
      'tr',
      columns.map(({ cell, class: name, label }, index) =>
        h(
          index === 0 ? 'th' : 'td',
          { class: name ?? null, scope: index === 0 ? 'row' : null, 'data-label': label },
          cell(row),
        ),
      ),
    );
  return {
    element,
    update(rows) {
      const seen = new Set();
      rows.forEach((row, index) => {
        const key = keyOf(row);
        const sign = signature(row);
        seen.add(key);
        let entry = known.get(key);
        if (!entry || entry.sign !== sign) {
          const tr = draw(row);
          if (entry) {
            const focused = entry.tr.contains(document.activeElement);
            entry.tr.replaceWith(tr);
            if (focused) tr.querySelector('a, button')?.focus({ preventScroll: true });
            tr.classList.add('changed');
          }
          entry = { sign, tr };
          known.set(key, entry);
        }
        if (body.children[index] !== entry.tr) body.insertBefore(entry.tr, body.children[index] ?? null);
      });
      for (const [key, { tr }] of known) {
        if (!seen.has(key)) {
          tr.remove();
          known.delete(key);
        }
      }
    },
  };
}

/** Pairs of a word and its value; pairs without a value are left out. */
export const facts = (pairs, name = 'facts') =>
  h(
    `dl.${name}`,
    pairs
      .filter(([, value]) => value !== null && value !== undefined && value !== '')
      .map(([word, value]) => h('div', h('dt', word), h('dd', value))),
  );
