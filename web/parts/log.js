// A job's output as it grows: reads pieces from where the last one ended, follows the end while the reader is there.
import { get } from '../api.js';
import { t } from '../i18n/index.js';
import { h, put } from './dom.js';
import { segments } from './forms.js';
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

/** The text itself: grows at its end, forgets its beginning, follows while the reader is at the end. */
function pane() {
  const text = h('pre.log', { tabindex: 0, role: 'log', 'aria-label': t('log.title'), 'aria-live': 'off' });
  const toEnd = () => {
    text.scrollTop = text.scrollHeight;
  };
  const follow = h('input', {
    type: 'checkbox',
    checked: true,
    name: 'follow',
    onchange: () => {
      if (follow.checked) toEnd();
    },
  });
  let length = 0;
  text.addEventListener('scroll', () => {
    follow.checked = text.scrollTop + text.clientHeight > text.scrollHeight - 24;
  });
  return {
    text,
    follow,
    clear() {
      put(text);
      length = 0;
    },
    add(piece, end) {
      const fresh = plain(piece);
      text.dataset.bytes = end;
      if (!fresh) return;
      const following = follow.checked;
      text.append(fresh);
      length += fresh.length;
      while (length > KEEP && text.firstChild !== text.lastChild) {
        length -= text.firstChild.length;
        text.firstChild.remove();
      }
      if (following) toEnd();
    },
  };
}

/** Answers `{element, changed(job), end()}`. */
export function logView(job, signal) {
  const shown = pane();
  const note = h('p.fine');
  const at = { job, stream: 'stdout', offset: 0, over: false, reading: false, timer: 0 };

  const pieces = async (stream) => {
    for (let got = 1; got > 0 && stream === at.stream;) {
      const piece = await get(`/jobs/${job.id}/log`, { stream, offset: at.offset, limit: PIECE }, signal);
      if (stream !== at.stream) return;
      got = piece.next - piece.offset;
      at.offset = piece.next;
      at.over = piece.complete && got === 0;
      shown.add(piece.text, at.offset);
      put(
        note,
        h('code', piece.path),
        ' · ',
        t('log.bytes', { n: at.offset }),
        at.over || isOver(at.job.state) ? ` · ${t('log.complete')}` : '',
      );
    }
    if (!at.offset) put(note, t(isOver(at.job.state) ? 'log.nothing' : 'log.soon'));
  };
  const read = async () => {
    if (at.reading || at.over) return;
    at.reading = true;
    try {
      await pieces(at.stream);
    } catch (problem) {
      const none = at.job.state === 'PENDING' ? 'log.pending' : 'log.nothing';
      if (problem.name !== 'AbortError')
        put(note, problem.status === 404 ? t(none) : problem.detail || t('problem.offline'));
    } finally {
      at.reading = false;
    }
  };
  const beat = async () => {
    if (!document.hidden && at.job.state !== 'PENDING') await read();
    if (!at.over && !signal.aborted) at.timer = setTimeout(beat, isOver(at.job.state) ? 4 * BEAT : BEAT);
  };
  const turn = (stream) => {
    clearTimeout(at.timer);
    Object.assign(at, { stream, offset: 0, over: false });
    shown.clear();
    put(note);
    beat();
  };
  if (job.state === 'PENDING') put(note, t('log.pending'));
  beat();
  return {
    element: frame(job, { ...shown, note, turn }),
    changed(fresh) {
      at.job = fresh;
      read();
    },
    end() {
      clearTimeout(at.timer);
    },
  };
}

/** The card around it. */
function frame(job, { text, follow, note, turn }) {
  const split = job.stderr && job.stderr !== job.stdout;
  const streams =
    split &&
    segments({
      name: 'stream',
      legend: t('log.stream'),
      options: [
        ['stdout', t('log.stdout')],
        ['stderr', t('log.stderr')],
      ],
      value: 'stdout',
      pick: turn,
    });
  return h(
    'section.card.output',
    { 'aria-labelledby': 'log-title', 'data-part': 'log' },
    h(
      'div.row.between',
      h('h2', { id: 'log-title' }, t('log.title')),
      h('div.row', streams, h('label.check', follow, t('log.follow'))),
    ),
    text,
    note,
  );
}
