// What the floor says of one node: the short word under the pointer, the longer one beside the drawing.
import { get } from '../api.js';
import { num, own, t } from '../i18n/index.js';
import { attempt, ask } from './dialog.js';
import { h, put } from './dom.js';
import { drainNode, resumeNode } from './node-acts.js';
import { nodeMark, provenance } from './state.js';
import { facts } from './table.js';

/** How many bits of a mask are set. */
export const ones = (mask) => {
  let count = 0;
  for (let left = mask >>> 0; left; left &= left - 1) count += 1;
  return count;
};

/** A node's state in a word, from its entry on the floor. */
export function stateWord(node) {
  const busy = ones(node.b);
  const up = !busy ? 'IDLE' : busy === node.g ? 'ALLOCATED' : 'MIXED';
  return t(`node.${node.s === 'x' ? 'DOWN' : node.s === 'd' ? (busy ? 'DRAINING' : 'DRAINED') : up}`);
}

/** How much of a node is held, in words. */
export const heldWord = (node) => t('floor.held_of', { n: ones(node.b), of: node.g });

const device = (node, index) => {
  if (node.s === 'x') return 'down';
  if ((node.b >>> index) & 1) return `owner.o${node.o[index] || 1}`;
  return node.s === 'd' ? 'drain' : 'free';
};

const deviceRow = (node) =>
  h(
    'span.devices',
    { 'aria-hidden': 'true' },
    Array.from({ length: node.g }, (_, index) => h(`i.cell.${device(node, index)}`)),
  );

const placeWord = (place) =>
  `${own(place.site, 'title')} › ${place.island.name} › ${t('floor.rack', { n: place.rack })}`;

const jobLinks = (view, most) => [
  view.jobs
    .slice(0, most)
    .map((id, index) => [index ? ', ' : '', h('a', { href: `#/jobs/${id}` }, t('job.id', { id: String(id) }))]),
  view.jobs.length > most ? t('floor.more_jobs', { n: view.jobs.length - most }) : null,
];

/** Looks nodes up as the pointer rests on them, and remembers them for a few seconds. */
function lookup(signal) {
  const known = new Map();
  return async (name) => {
    const entry = known.get(name);
    if (entry && Date.now() - entry.at < 3000) return entry.view;
    const reply = await get('/nodes', { names: name }, signal);
    const view = (reply.items ?? reply)[0] ?? null;
    known.set(name, { at: Date.now(), view });
    return view;
  };
}

/** The word under the pointer. `show(node, place)` fills `tip`. */
export function tooltip(tip, signal) {
  const find = lookup(signal);
  let shown = null;
  return (node, place) => {
    shown = node;
    const jobs = h('span.fine', node.b ? '…' : t('floor.no_jobs'));
    put(
      tip,
      h('b', node.n),
      h('span.fine', placeWord(place)),
      h('span', stateWord(node), ' · ', heldWord(node)),
      deviceRow(node),
      place.site.modelled || place.site.pretend ? provenance(place.site) : null,
      jobs,
    );
    if (!node.b) return;
    setTimeout(async () => {
      if (shown !== node) return;
      try {
        const view = await find(node.n);
        if (view) put(jobs, view.jobs.length ? jobLinks(view, 4) : t('floor.foreign'));
      } catch {
        jobs.remove();
      }
    }, 120);
  };
}

function acts(view) {
  const out = view.state.startsWith('DRAIN') || view.state === 'DOWN';
  return h(
    'div.row',
    out
      ? h('button', { type: 'button', onclick: () => resumeNode(view.name, { attempt }) }, t('node.resume'))
      : h('button', { type: 'button', onclick: () => drainNode(view.name, { ask, attempt }) }, t('node.drain')),
  );
}

const detail = (view) =>
  facts([
    [t('node.state'), nodeMark(view.state)],
    [t('node.reason'), view.reason],
    [t('node.gpus'), view.gpus ? `${num(view.gpus)} × ${(view.gpu_model ?? '').toUpperCase()}` : null],
    [t('node.cpus'), t('node.busy_of', { n: view.cpus_busy, of: view.cpus })],
    [t('node.partitions'), view.partitions.join(', ')],
    [
      t('floor.jobs'),
      view.jobs.length ? h('span', jobLinks(view, 12)) : t(view.gpus_busy_mask ? 'floor.foreign' : 'floor.no_jobs'),
    ],
  ]);

/** The panel beside the drawing. Answers `show(node, place)`; `close` is called by its button. */
export function panel(side, { signal, operator, close }) {
  const find = lookup(signal);
  let shown = '';
  const head = h('div.stack');
  const rest = h('div');
  return async (node, place) => {
    if (shown !== node.n) put(rest, h('p.fine', t('state.loading')));
    shown = node.n;
    put(
      head,
      h(
        'header',
        h('h2', node.n),
        h('button.quiet', { type: 'button', onclick: close, 'aria-label': t('floor.close') }, '✕'),
      ),
      deviceRow(node),
      h('p.fine', placeWord(place)),
      place.site.modelled || place.site.pretend ? h('p', provenance(place.site)) : null,
    );
    if (head.parentNode !== side) put(side, head, rest);
    try {
      const view = await find(node.n);
      if (shown === node.n && view) put(rest, detail(view), operator && acts(view));
    } catch (problem) {
      if (problem.name !== 'AbortError') put(rest, h('p.fine', problem.detail || t('problem.offline')));
    }
  };
}
