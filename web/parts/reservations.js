// Reservations that are not over, as a short list; nothing when there are none.
import { brief, span, t } from '../i18n/index.js';
import { h } from './dom.js';

/** Most that are listed. */
const MOST = 12;

function what(one) {
  if (one.most_gpus !== undefined) return t('reserve.most_gpus', { n: one.most_gpus, site: one.site });
  if (one.most_nodes !== undefined) return t('reserve.most_nodes', { n: one.most_nodes, site: one.site });
  const names = one.nodes.length <= 4 ? ` (${one.nodes.join(', ')})` : '';
  return t('reserve.nodes', { n: one.nodes.length }) + names;
}

function line(one) {
  const when = one.active
    ? t('reserve.open', { time: brief(one.until_ms) })
    : t('reserve.ahead', { from: brief(one.from_ms), until: brief(one.until_ms) });
  const again = one.every_secs ? t('reserve.again', { span: span(one.every_secs) }) : null;
  const words = [t(`reserve.${one.kind}`), what(one), when, again].filter(Boolean).join(' · ');
  return h('li', h('b', one.name), ` ${words}`, h('small', ` ${one.reason}`));
}

/** A card with the next reservations, or null. */
export function reservations(all) {
  if (!all.length) return null;
  const next = [...all].sort((a, b) => a.from_ms - b.from_ms).slice(0, MOST);
  return h('section.card', h('h2', t('reserve.title')), h('ul', next.map(line)));
}
