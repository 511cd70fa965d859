// Why a job waits, what would start it, and when it starts.
import { moment, own, relative, span, t, tOr } from '../i18n/index.js';
import { h } from './dom.js';

/** Why it waits, what would start it, and when it starts. */
export function whySection(job, why, when) {
  const now = Date.now();
  const start = when?.promised_ms ?? why.promised_ms ?? job.promised_ms;
  return h(
    'section.card.waits',
    { 'aria-labelledby': 'why-title', 'data-part': 'why' },
    h('h2', { id: 'why-title' }, t('why.title')),
    h(
      'ol.blocks',
      why.blocks.map((block) =>
        h(
          'li',
          h('b', tOr(`reason.${block.reason}`, block.reason)),
          h('p', own(block, 'text')),
          h('code.fine', { title: t('why.slurm') }, block.reason),
        ),
      ),
    ),
    why.sites?.length > 0 && sitesList(why.sites),
    why.ahead > 0 && h('p', t('why.ahead', { n: why.ahead })),
    why.warning && h('p', h('b', own(why, 'warning'))),
    why.change
      ? h('div.change', h('h3', t('why.change')), h('p', own(why, 'change')), h('p.fine', t('why.tried')))
      : h('p.fine', t('why.no_change')),
    h(
      'dl.facts.when',
      start &&
        h('div', h('dt', t('why.promised')), h('dd', h('b', moment(start)), ' ', h('small', relative(start, now)))),
      (when?.estimates ?? []).filter((one) => one.on !== 'promise').map((one) => estimate(one, now)),
      !start && !when?.estimates?.length && h('div', h('dt', t('why.when')), h('dd', t('why.unknown'))),
      when?.expected_secs && h('div', h('dt', t('why.expected')), h('dd', span(when.expected_secs))),
      why.promised_nodes && h('div', h('dt', t('why.nodes')), h('dd', h('code', why.promised_nodes))),
    ),
  );
}

/** How each site stands that a job may go to, the best first. */
export const sitesList = (sites) =>
  h(
    'ul.sites',
    { 'data-part': 'sites' },
    sites.map((site) => h('li', h('b', site.site), ' ', own(site, 'text'))),
  );

/** When it starts by one way of running the present state forward, and what that leans on. */
const estimate = (one, now) =>
  h(
    'div',
    h('dt', t(`why.on_${one.on}`)),
    h(
      'dd',
      one.start_ms
        ? [h('b', moment(one.start_ms)), ' ', h('small', relative(one.start_ms, now))]
        : one.not_by_ms
          ? t('why.not_by', { when: moment(one.not_by_ms) })
          : t('why.unknown'),
      h('p.fine', own(one, 'text')),
    ),
  );
