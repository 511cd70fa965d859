// What a page says when it has nothing to show yet, nothing at all, or a failure; and the marks that states carry.
// Meaning is never by colour alone: every mark has a word, most a shape too.
import { t, tOr } from '../i18n/index.js';
import { h } from './dom.js';

/** A failure with the server's own words and a way to try again. */
export function failure(problem, again) {
  const title = tOr(`problem.${problem.code}`, problem.status ? t('problem.any') : t('problem.bug'));
  return h(
    'section.notice.bad',
    { role: 'alert' },
    h('h1', title),
    problem.detail && problem.status ? h('p', { lang: 'en' }, problem.detail) : null,
    problem.hint && h('p.hint', h('b', t('problem.hint')), ' ', h('span', { lang: 'en' }, problem.hint)),
    problem.status ? h('p.fine', `${problem.status} · ${problem.code}`) : null,
    again && h('button', { type: 'button', onclick: again }, t('problem.again')),
  );
}

/** Nothing to show, and why. */
export const empty = (text, ...more) => h('p.empty', text, ...more);

const GLYPHS = {
  PENDING: '◷',
  CONFIGURING: '◔',
  RUNNING: '▶',
  COMPLETING: '◑',
  COMPLETED: '✓',
  FAILED: '✕',
  TIMEOUT: '■',
  CANCELLED: '⊘',
  NODE_FAIL: '⊗',
  OUT_OF_MEMORY: '▲',
  BOOT_FAIL: '✕',
  REQUEUED: '↻',
  PREEMPTED: '↶',
  DEADLINE: '■',
};
const TONES = {
  PENDING: 'wait',
  CONFIGURING: 'run',
  RUNNING: 'run',
  COMPLETING: 'run',
  COMPLETED: 'good',
  CANCELLED: 'mute',
  REQUEUED: 'mute',
  PREEMPTED: 'mute',
};

/** The tone of a state: wait, run, good, mute or bad. */
export const tone = (state) => TONES[state] ?? 'bad';

/** A job's state as a mark with a glyph and a word. */
export const stateMark = (state) =>
  h(
    `span.chip.${tone(state)}`,
    { title: state },
    h('span.glyph', { 'aria-hidden': 'true' }, GLYPHS[state] ?? '•'),
    t(`job.${state}`),
  );

/** True once nothing will change any more. */
export const isOver = (state) => !['PENDING', 'CONFIGURING', 'RUNNING', 'COMPLETING'].includes(state);

const NODE_TONES = { IDLE: 'mute', MIXED: 'run', ALLOCATED: 'run', DRAINING: 'wait', DRAINED: 'wait', DOWN: 'bad' };

/** A node's state as a mark. */
export const nodeMark = (state) => h(`span.chip.${NODE_TONES[state] ?? 'mute'}`, { title: state }, t(`node.${state}`));

/** The faults that are held against a node, if any: how many, and the runs in the tooltip. */
export function faultsMark(node) {
  if (!node.faults?.length) return null;
  const runs = node.faults.map((fault) => (fault.job ? t('job.id', { id: String(fault.job) }) : '…')).join(', ');
  return h('small', { title: runs }, t('node.faults', { n: node.faults.length }));
}

/** The label that nothing modelled or pretended may go without. */
export function provenance({ modelled, pretend }) {
  if (modelled) return h('span.label.modelled', { title: t('label.modelled.more') }, t('label.modelled'));
  if (pretend) return h('span.label.pretend', { title: t('label.pretend.more') }, t('label.pretend'));
  return h('span.label.real', t('label.real'));
}

/** The reason a job waits, in the reader's language; Slurm's own word stays in the tooltip. */
export function reasonText(job) {
  if (!job.reason || job.reason === 'None') return job.reason_text || '';
  return tOr(`reason.${job.reason}`, job.reason);
}
