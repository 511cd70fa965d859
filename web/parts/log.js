// A job's output as it grows: reads pieces from where the last one ended, follows the end while the reader is there.
import { get } from '../api.js';
import { num, t } from '../i18n/index.js';
import { h, put } from './dom.js';
import { isOver } from './state.js';

const PIECE = 262144;
const KEEP = 1_500_000; // characters kept in view; more would make the page slow, the file has it all
const BEAT = 1000;

/** Terminal colours and cursor moves say nothing here; a carriage return leaves the line's last state. */
const plain = (text) =>
  text
    .replace(/\x1b\[[0-9;?]*[A-Za-z]/g, '')
    .replace(/[^\n]*\r(?!\n)/g, '')
    .replace(/\r\n/g, '\n');

/** Answers `{element, changed(job), end()}`. */
export function logView(job, signal) {
  let now = job;
  let stream = 'stdout';
  let offset = 0;
  let timer = 0;
  let reading = false;
  let over = false;
  const text = h('pre.log', { tabindex: 0, role: 'log', 'aria-label': t('log.title'), 'aria-live': 'off' });
  const note = h('p.fine');
  const follow = h('input', {
    type: 'checkbox',
    checked: true,
    name: 'follow',
    onchange: () => {
      if (follow.checked) text.scrollTop = text.scrollHeight;
    },
  });
  text.addEventListener('scroll', () => {
    follow.checked = text.scrollTop + text.clientHeight > text.scrollHeight - 24;
  });

  const add = (piece) => {
    const fresh = plain(piece.text);
    if (fresh) text.append(fresh);
    let length = text.textContent.length;
    while (length > KEEP && text.firstChild !== text.lastChild) {
      length -= text.firstChild.length;
      text.firstChild.remove();
    }
    if (follow.checked) text.scrollTop = text.scrollHeight;
  };
  const read = async () => {
    if (reading || over) return;
    reading = true;
    const from = stream;
    try {
      for (;;) {
        const piece = await get(`/jobs/${job.id}/log`, { stream: from, offset, limit: PIECE }, signal);
        if (from !== stream) break;
        const got = piece.next - piece.offset;
        offset = piece.next;
        add(piece);
        over = piece.complete && got === 0;
        put(
          note,
          h('code', piece.path),
          ' · ',
          t('log.bytes', { n: num(offset) }),
          over || isOver(now.state) ? ` · ${t('log.complete')}` : '',
        );
        text.dataset.bytes = offset;
        if (got === 0) break;
      }
      if (!offset) put(note, t(isOver(now.state) ? 'log.nothing' : 'log.soon'));
    } catch (problem) {
      if (problem.name === 'AbortError') return;
      put(
        note,
        problem.status === 404
          ? t(now.state === 'PENDING' ? 'log.pending' : 'log.nothing')
          : problem.detail || t('problem.offline'),
      );
    } finally {
      reading = false;
    }
  };
  const beat = async () => {
    if (!document.hidden && now.state !== 'PENDING') await read();
    if (!over && !signal.aborted) timer = setTimeout(beat, isOver(now.state) ? 4 * BEAT : BEAT);
  };
  const turn = (which) => {
    stream = which;
    offset = 0;
    over = false;
    put(text);
    put(note);
    clearTimeout(timer);
    beat();
  };
  const choice = (which) =>
    h(
      'label',
      h('input', { type: 'radio', name: 'stream', checked: which === stream, onchange: () => turn(which) }),
      h('span', t(`log.${which}`)),
    );
  const split = job.stderr && job.stderr !== job.stdout;
  if (now.state === 'PENDING') put(note, t('log.pending'));
  beat();
  return {
    element: h(
      'section.card.output',
      { 'aria-labelledby': 'log-title', 'data-part': 'log' },
      h(
        'div.row.between',
        h('h2', { id: 'log-title' }, t('log.title')),
        h(
          'div.row',
          split &&
            h('fieldset.segments', h('legend.visually-hidden', t('log.stream')), choice('stdout'), choice('stderr')),
          h('label.check', follow, t('log.follow')),
        ),
      ),
      text,
      note,
    ),
    changed(fresh) {
      now = fresh;
      read();
    },
    end() {
      clearTimeout(timer);
    },
  };
}
