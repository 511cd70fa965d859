// The table of jobs that the queue and a project's page share.
import { get } from '../api.js';
import { brief, moment, num, relative, span, t } from '../i18n/index.js';
import { h } from './dom.js';
import { provenance, reasonText, stateMark, isOver } from './state.js';
import { liveTable } from './table.js';

/** A job's number as people write it: 42, or 41_3 for task 3 of array 41. */
export function jobNumber(job) {
  const { array } = job;
  if (!array) return String(job.id);
  return array.task !== undefined && array.task !== null
    ? `${array.job}_${array.task}`
    : `${array.job}_[${array.tasks ?? ''}]`;
}

const at = (ms) => h('time', { datetime: new Date(ms).toISOString(), title: moment(ms, true) }, brief(ms));

/** What matters most about when: promised, running since and until, or ended. */
function when(job) {
  if (job.state === 'PENDING') {
    if (job.promised_ms)
      return [h('span', t('queue.promised'), ' '), at(job.promised_ms), h('small', relative(job.promised_ms))];
    return [h('span.mute', t('queue.submitted'), ' '), at(job.submitted_ms)];
  }
  if (!isOver(job.state))
    return [
      h('span', t('queue.until'), ' '),
      job.ends_ms ? at(job.ends_ms) : '—',
      job.started_ms ? h('small', t('queue.since', { time: relative(job.started_ms) })) : null,
    ];
  const ran = job.started_ms && job.ends_ms ? span((job.ends_ms - job.started_ms) / 1000) : null;
  return [
    h('span.mute', t('queue.ended'), ' '),
    job.ends_ms ? at(job.ends_ms) : '—',
    ran && h('small', t('queue.ran', { span: ran })),
  ];
}

const resources = (job) =>
  h(
    'span',
    job.gpus ? t('queue.gpus', { n: job.gpus }) : t('queue.cpus', { n: job.cpus }),
    h('small', t('queue.nodes', { n: job.nodes })),
  );

function why(job) {
  if (job.state === 'PENDING')
    return h('span.why', { title: [job.reason, job.reason_text].filter(Boolean).join(': ') }, reasonText(job));
  if (job.state === 'FAILED')
    return job.signal ? t('queue.signal', { n: job.signal }) : t('queue.exit', { n: job.exit });
  return job.node_list ? h('code.nodes', { title: job.node_list }, job.node_list) : null;
}

const COLUMNS = {
  id: () => ({
    key: 'id',
    label: t('queue.job'),
    cell: (job) => h('a.job', { href: `#/jobs/${job.id}` }, h('b', jobNumber(job)), h('span.name', job.name || '—')),
  }),
  state: () => ({ key: 'state', label: t('queue.state'), cell: (job) => stateMark(job.state) }),
  project: () => ({
    key: 'project',
    label: t('queue.project'),
    cell: (job) => [
      h('a', { href: `#/projects/${encodeURIComponent(job.project)}` }, job.project),
      h('small', job.user),
    ],
  }),
  user: () => ({ key: 'user', label: t('queue.user'), cell: (job) => job.user }),
  where: () => ({
    key: 'where',
    label: t('queue.where'),
    cell: (job) => [job.site ?? job.partition, job.modelled ? provenance(job) : null],
  }),
  resources: () => ({ key: 'resources', label: t('queue.asks'), class: 'number', cell: resources }),
  limit: () => ({ key: 'limit', label: t('queue.limit'), class: 'number', cell: (job) => span(job.limit_secs) }),
  when: () => ({ key: 'when', label: t('queue.when'), cell: when }),
  why: () => ({ key: 'why', label: t('queue.why'), cell: why }),
};

/** A live table of jobs with these columns. */
export const jobTable = (names, caption) =>
  liveTable({
    caption,
    columns: names.map((name) => COLUMNS[name]()),
    keyOf: (job) => `${job.id}:${job.array?.tasks ?? ''}`,
  });

/** How many a list shows, in words. */
export const shown = (count, more) =>
  more ? t('queue.shown_more', { n: num(count) }) : t('queue.shown', { n: count });

/** What Slurm's states a filter's word stands for. */
export const STATES = {
  active: 'active',
  PENDING: 'PENDING',
  RUNNING: 'CONFIGURING,RUNNING,COMPLETING',
  ended: 'COMPLETED,FAILED,TIMEOUT,CANCELLED,NODE_FAIL,OUT_OF_MEMORY,BOOT_FAIL,PREEMPTED,DEADLINE',
  failed: 'FAILED,TIMEOUT,NODE_FAIL,OUT_OF_MEMORY,BOOT_FAIL',
  all: 'all',
};

const TEN_MINUTES = 6e5;
const MOST = 1000;

/**
 * The newest jobs that are over. The server lists by ascending id, so that pages miss nothing; the newest are found by
 * asking for all, and where those are too many for what ended of late: in a span made shorter while too many fit and
 * longer while fewer than `want` do. Answers `{items, since, whole}`, newest first.
 */
export async function newestEnded({ state = 'ended', project, partition, site, want = 100 }, signal) {
  const ask = async (since) => {
    const { items, next } = await get(
      '/jobs',
      { state: STATES[state], project, partition, site, since_ms: since, limit: MOST },
      signal,
    );
    return { items, since, whole: !since && !next, full: Boolean(next) };
  };
  let found = await ask(0);
  let best = found.full ? null : found;
  for (let span = TEN_MINUTES, turn = 0; !found.whole && turn < 8; turn += 1, span *= found.full ? 1 / 8 : 8) {
    found = await ask(Math.max(0, Math.round(Date.now() - span)));
    if (found.full && best) break;
    if (!found.full) best = found;
    if (!found.full && found.items.length >= want) break;
  }
  best ??= found;
  best.items.sort((a, b) => (b.ends_ms ?? 0) - (a.ends_ms ?? 0) || b.id - a.id);
  return best;
}

/** One page of jobs for a filter. */
export async function jobPage({ state, project, partition, site, after, limit = 100 }, signal) {
  const reply = await get('/jobs', { state: STATES[state] ?? state, project, partition, site, after, limit }, signal);
  return Array.isArray(reply) ? { items: reply } : reply;
}
