// The controls that filters are made of.
import { t } from '../i18n/index.js';
import { h } from './dom.js';

/** One of a few, side by side. `options` are `[value, word]`. */
export const segments = ({ name, legend, options, value, pick }) =>
  h(
    'fieldset.segments',
    h('legend.visually-hidden', legend),
    options.map(([code, word]) =>
      h(
        'label',
        h('input', { type: 'radio', name, value: String(code), checked: code === value, onchange: () => pick(code) }),
        h('span', word),
      ),
    ),
  );

/** One of many, or any. `options` are `[value, word]`. */
export const select = ({ name, word, options, value, pick }) =>
  h(
    'label.field',
    h('span', word),
    h(
      'select',
      { name, onchange: (event) => pick(event.target.value) },
      [['', t('queue.any')], ...options].map(([code, text]) =>
        h('option', { value: code, selected: code === value }, text),
      ),
    ),
  );

/** What to look for; `pick` hears every change, trimmed. */
export const searchBox = ({ value, hint, pick }) =>
  h(
    'label.field.grow',
    h('span', t('queue.search')),
    h('input', {
      type: 'search',
      name: 'q',
      value,
      placeholder: hint,
      autocomplete: 'off',
      oninput: (event) => pick(event.target.value.trim()),
    }),
  );

/** A form of filters; nothing in it is ever sent by itself. */
export const filters = (...controls) =>
  h('form.toolbar.filters', { role: 'search', onsubmit: (event) => event.preventDefault() }, controls);

/** Before and next; `before` and `next` are what to do, or null at an end. Nothing at all on a single page. */
export const pager = ({ page, before, next }) =>
  !before && !next
    ? []
    : [
        h('button', { type: 'button', disabled: !before, onclick: before }, t('queue.previous')),
        h('span', t('queue.page', { n: page })),
        h('button', { type: 'button', disabled: !next, onclick: next }, t('queue.next')),
      ];
