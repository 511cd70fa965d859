// A project's statement: every line of the ledger, its totals, and whether it balances. Read as exact integers and added
// up again here, so that the mark is a second opinion and not an echo. Prints; downloads as CSV.
import { getExact } from '../api.js';
import { bp, day, gpuHours, moment, num, t, won } from '../i18n/index.js';
import { h, put } from '../parts/dom.js';
import { empty } from '../parts/state.js';

const FIRST = 500; // lines shown at once; the rest on request, before printing and in the CSV
const DAY = 86400000;

/** The sum of a column, exact. */
const total = (lines, field) => lines.reduce((sum, line) => sum + line[field], 0n);

/** The statement added up again: what does not agree, as keys. */
export function check(statement) {
  const { lines } = statement;
  const wrong = [];
  if (statement.opening_gpu_us + total(lines, 'free_gpu_us') !== statement.closing_gpu_us) wrong.push('closing');
  if (total(lines, 'spent_gpu_us') !== statement.spent_gpu_us) wrong.push('spent');
  if (total(lines, 'won') !== statement.won) wrong.push('won');
  if (
    total(
      lines.filter((line) => line.kind === 'grant'),
      'free_gpu_us',
    ) !== statement.granted_gpu_us
  )
    wrong.push('granted');
  return wrong;
}

/** GPU time in hours, exact, six places: what a spreadsheet can add up. */
export function exactHours(us) {
  const micro = ((us < 0n ? -us : us) * 1000000n) / 3600000000n;
  return `${us < 0n ? '-' : ''}${micro / 1000000n}.${String(micro % 1000000n).padStart(6, '0')}`;
}

/** One CSV cell (RFC 4180); text that a spreadsheet would take for a formula is defused. */
function cell(value) {
  if (value === null || value === undefined) return '';
  let text = String(value);
  if (typeof value === 'string' && /^[=+\-@\t\r]/.test(text) && !/^-?[\d.]+$/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The statement as CSV with one header line; names of columns are stable, in English. */
export function csv(statement) {
  const head = [
    'entry',
    'at',
    'kind',
    'award',
    'job',
    'attempt',
    'free_gpu_hours',
    'held_gpu_hours',
    'spent_gpu_hours',
    'won',
    'price_won',
    'rate_bp',
    'free_gpu_us',
    'held_gpu_us',
    'spent_gpu_us',
  ];
  const rows = statement.lines.map((line) => [
    line.entry,
    new Date(line.at_ms).toISOString(),
    line.kind,
    line.award,
    line.job,
    line.attempt,
    exactHours(line.free_gpu_us),
    exactHours(line.held_gpu_us),
    exactHours(line.spent_gpu_us),
    line.won,
    line.price_won,
    line.rate_bp,
    line.free_gpu_us,
    line.held_gpu_us,
    line.spent_gpu_us,
  ]);
  return [head, ...rows]
    .map((row) => row.map(cell).join(','))
    .join('\r\n')
    .concat('\r\n');
}

function download(statement) {
  // The mark at the front tells spreadsheets that this is UTF-8.
  const url = URL.createObjectURL(new Blob(['\ufeff', csv(statement)], { type: 'text/csv;charset=utf-8' }));
  const link = h('a', {
    href: url,
    download: `statement-${statement.project}-${new Date(statement.until_ms).toISOString().slice(0, 10)}.csv`,
  });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

const signed = (us) => (us === 0n ? h('span.mute', '·') : `${us > 0n ? '+' : '−'}${gpuHours(us < 0n ? -us : us, 2)}`);
const signedWon = (amount) => (amount === 0n ? h('span.mute', '·') : num(amount));

const line = (one) =>
  h(
    'tr',
    { 'data-kind': one.kind },
    h('th', { scope: 'row' }, num(one.entry)),
    h('td', moment(one.at_ms)),
    h('td', t(`ledger.${one.kind}`)),
    h(
      'td',
      one.job !== null && one.job !== undefined
        ? h(
            'a',
            { href: `#/jobs/${one.job}` },
            t('job.id', { id: String(one.job) }),
            one.attempt > 1 ? `.${one.attempt}` : '',
          )
        : one.award
          ? t('award.id', { id: String(one.award) })
          : '',
    ),
    h('td.number', signed(one.free_gpu_us)),
    h('td.number', signed(one.held_gpu_us)),
    h('td.number', signed(one.spent_gpu_us)),
    h('td.number', signedWon(one.won)),
    h(
      'td.fine',
      one.price_won !== null && one.price_won !== undefined
        ? t('statement.how', { price: won(one.price_won), rate: bp(one.rate_bp ?? 10000) })
        : '',
    ),
  );

function balance(statement) {
  const wrong = check(statement);
  const good = statement.balances && !wrong.length;
  return h(
    `p.balance.${good ? 'good' : 'bad'}`,
    { 'data-balances': String(good), role: good ? null : 'alert' },
    h('span.glyph', { 'aria-hidden': 'true' }, good ? '✓' : '✕'),
    h('b', t(good ? 'statement.balances' : 'statement.does_not')),
    h(
      'span',
      good
        ? t('statement.added', { n: statement.lines.length })
        : wrong.length
          ? t('statement.wrong', { what: wrong.map((what) => t(`statement.${what}`)).join(', ') })
          : t('statement.books'),
    ),
  );
}

const sumRow = (word, value, name) => h('div', { class: name ?? null }, h('dt', word), h('dd', value));

function totals(one) {
  const hours = (us) => t('unit.gpu_hours', { n: gpuHours(us, 2) });
  return h(
    'dl.totals',
    sumRow(t('statement.opening'), hours(one.opening_gpu_us)),
    sumRow(t('statement.granted'), `${one.granted_gpu_us > 0n ? '+ ' : ''}${hours(one.granted_gpu_us)}`),
    sumRow(t('statement.spent'), `${one.spent_gpu_us > 0n ? '− ' : ''}${hours(one.spent_gpu_us)}`),
    one.refunded_gpu_us > 0n && sumRow(t('statement.refunded'), hours(one.refunded_gpu_us), 'within'),
    sumRow(t('statement.held'), hours(one.held_gpu_us), 'within'),
    sumRow(t('statement.closing'), hours(one.closing_gpu_us), 'sum'),
    sumRow(t('statement.won'), won(one.won), 'sum'),
  );
}

function lines(statement) {
  if (!statement.lines.length) return empty(t('statement.none'));
  const body = h('tbody', statement.lines.slice(0, FIRST).map(line));
  const rest = statement.lines.slice(FIRST);
  const more = rest.length ? h('button', { type: 'button' }, t('statement.more', { n: rest.length })) : null;
  const all = () => {
    if (more?.isConnected) {
      body.append(...rest.map(line));
      more.remove();
    }
  };
  more?.addEventListener('click', all);
  const head = h(
    'tr',
    h('th', { scope: 'col' }, t('statement.entry')),
    h('th', { scope: 'col' }, t('statement.at')),
    h('th', { scope: 'col' }, t('statement.kind')),
    h('th', { scope: 'col' }, t('statement.for')),
    ['free', 'held_column', 'spent_column', 'won_column'].map((word) =>
      h('th.number', { scope: 'col' }, t(`statement.${word}`)),
    ),
    h('th', { scope: 'col' }, t('statement.how_title')),
  );
  const foot = h(
    'tr',
    h('th', { scope: 'row', colspan: 4 }, t('statement.total')),
    h('td.number', signed(total(statement.lines, 'free_gpu_us'))),
    h('td.number', signed(total(statement.lines, 'held_gpu_us'))),
    h('td.number', signed(total(statement.lines, 'spent_gpu_us'))),
    h('td.number', signedWon(total(statement.lines, 'won'))),
    h('td'),
  );
  return {
    all,
    element: h(
      'div',
      h(
        'div.scroll-x',
        { tabindex: 0, role: 'region', 'aria-label': t('statement.lines') },
        h('table.ledger', h('caption.visually-hidden', t('statement.lines')), h('thead', head), body, h('tfoot', foot)),
      ),
      h('p.row.end', more),
    ),
  };
}

const dateField = (name, word, value, onchange) =>
  h('label.field', h('span', word), h('input', { type: 'date', name, value, onchange }));
const fromDay = (text) => (text ? new Date(`${text}T00:00:00`).getTime() : undefined);

/** The statement itself; `rows` is what `lines` answered. */
const sheet = (statement, rows) => [
  h(
    'p.period',
    t('statement.period', {
      from: statement.from_ms ? moment(statement.from_ms) : t('statement.opening_day'),
      until: moment(statement.until_ms),
    }),
  ),
  balance(statement),
  h('section.card', totals(statement)),
  h('section', h('h2', t('statement.lines'), ' ', h('small', num(statement.lines.length))), rows.element ?? rows),
];

const heading = (name, title, buttons) =>
  h(
    'header.head',
    h(
      'div',
      h(
        'p.eyebrow',
        h('a', { href: '#/projects' }, t('nav.projects')),
        ' › ',
        h('a', { href: `#/projects/${encodeURIComponent(name)}` }, name),
      ),
      h('h1', t('statement.title')),
      h('p.lead', title),
    ),
    h('div.row.no-print', buttons),
  );

function periodForm(period, change) {
  const whole = (event) => {
    for (const input of event.target.form.querySelectorAll('input')) input.value = '';
    change({ from: '', until: '' });
  };
  return h(
    'form.toolbar.no-print',
    { onsubmit: (event) => event.preventDefault() },
    dateField('from', t('statement.from'), period.from, (event) => change({ from: event.target.value })),
    dateField('until', t('statement.until'), period.until, (event) => change({ until: event.target.value })),
    h('button', { type: 'button', onclick: whole }, t('statement.whole')),
  );
}

export default {
  title: ([name]) => `${t('statement.title')} · ${name}`,
  async render(main, { params: [name], query, signal, setQuery }) {
    const path = `/projects/${encodeURIComponent(name)}/statement`;
    const period = { from: query.get('from') || '', until: query.get('until') || '' };
    const body = h('div.stack');
    let statement = null;
    let rows = null;
    const read = async () => {
      statement = await getExact(
        path,
        { from_ms: fromDay(period.from), until_ms: period.until ? fromDay(period.until) + DAY - 1 : undefined },
        signal,
      );
      rows = lines(statement);
      put(body, sheet(statement, rows));
    };
    const change = async (values) => {
      Object.assign(period, values);
      setQuery(period);
      try {
        await read();
      } catch (problem) {
        if (problem.name !== 'AbortError')
          put(body, h('p.notice.bad', { role: 'alert' }, problem.detail || t('problem.offline')));
      }
    };
    await read();
    const whole = () => rows.all?.();
    put(
      main,
      heading(name, statement.title, [
        h('button', { type: 'button', 'data-act': 'csv', onclick: () => download(statement) }, t('statement.csv')),
        h(
          'button',
          {
            type: 'button',
            'data-act': 'print',
            onclick: () => {
              whole();
              print();
            },
          },
          t('statement.print'),
        ),
      ]),
      periodForm(period, change),
      body,
      h('p.fine', t('statement.printed', { day: day(Date.now()) })),
    );
    addEventListener('beforeprint', whole);
    return () => removeEventListener('beforeprint', whole);
  },
};
