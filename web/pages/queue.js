// Jobs waiting, running and ended: filtered by the server, searched here, live.
import { calm, list, live } from '../api.js';
import { moment, num, own, t } from '../i18n/index.js';
import { announce, h, put } from '../parts/dom.js';
import { jobNumber, jobPage, jobTable, newestEnded, shown } from '../parts/job-table.js';
import { empty } from '../parts/state.js';

const PAGE = 100;
const SEARCH_PAGE = 1000;
const SEARCH_PAGES = 20;
const OVER = ['ended', 'failed'];
const FILTERS = ['active', 'PENDING', 'RUNNING', 'ended', 'failed', 'all'];

/** A page of what is over, newest first; `from` is its place among the newest. */
async function newest(filter, from, signal) {
  const { items, since, whole } = await newestEnded({ ...filter, want: from + PAGE + 1 }, signal);
  const note = whole ? shown(items.length) : t('queue.newest', { n: items.length, since: moment(since) });
  return { items: items.slice(from, from + PAGE), next: items.length > from + PAGE ? from + PAGE : undefined, note };
}

/** True when every word of the search is somewhere in the job. */
function hit(job, words) {
  const text = [
    jobNumber(job),
    `job-${job.id}`,
    job.name,
    job.user,
    job.project,
    job.partition,
    job.reason,
    job.node_list,
  ]
    .join(' ')
    .toLowerCase();
  return words.every((word) => text.includes(word));
}

/** Reads pages until enough hits are found, the list ends, or the bound is reached. */
async function search(filter, text, signal) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (OVER.includes(filter.state)) {
    const over = await newestEnded({ ...filter, want: SEARCH_PAGE }, signal);
    return {
      items: over.items.filter((job) => hit(job, words)).slice(0, PAGE),
      looked: over.items.length,
      whole: over.whole,
    };
  }
  const items = [];
  let looked = 0;
  let after;
  for (let turn = 0; turn < SEARCH_PAGES; turn += 1) {
    const reply = await jobPage({ ...filter, after, limit: SEARCH_PAGE }, signal);
    looked += reply.items.length;
    items.push(...reply.items.filter((job) => hit(job, words)));
    after = reply.next;
    if (!after || items.length >= PAGE) break;
  }
  return { items: items.slice(0, PAGE), looked, whole: !after };
}

const select = (name, word, value, options, onchange) =>
  h(
    'label.field',
    h('span', word),
    h(
      'select',
      { name, onchange },
      [['', t('queue.any')], ...options].map(([code, text]) =>
        h('option', { value: code, selected: code === value }, text),
      ),
    ),
  );

export default {
  title: () => t('nav.queue'),
  async render(main, { query, signal, setQuery }) {
    const filter = {
      state: query.get('state') || 'active',
      project: query.get('project') || '',
      partition: query.get('partition') || '',
      site: query.get('site') || '',
      text: query.get('q') || '',
    };
    const cursors = [undefined]; // where each page so far began; the last is the one shown
    let reply = { items: [] };

    const table = jobTable(
      ['id', 'state', 'project', 'where', 'resources', 'limit', 'when', 'why'],
      t('queue.caption'),
    );
    const note = h('p.fine', { 'aria-live': 'polite' });
    const pager = h('div.row.end');
    const body = h('div');
    const problem = h('div');

    let asked = 0;
    const read = async () => {
      const mine = (asked += 1);
      const server = { state: filter.state, project: filter.project, partition: filter.partition, site: filter.site };
      const fresh = filter.text
        ? await search(server, filter.text, signal)
        : OVER.includes(filter.state)
          ? await newest(server, cursors.at(-1) ?? 0, signal)
          : await jobPage({ ...server, after: cursors.at(-1), limit: PAGE }, signal);
      if (mine !== asked) return;
      reply = fresh;
      table.update(reply.items);
      put(
        body,
        reply.items.length
          ? table.element
          : empty(filter.text ? t('queue.no_hits', { text: filter.text }) : t(`queue.none.${filter.state}`)),
      );
      put(
        note,
        filter.text
          ? t(reply.whole ? 'queue.searched' : 'queue.searched_some', { n: reply.items.length, of: num(reply.looked) })
          : (reply.note ?? shown(reply.items.length, reply.next || cursors.length > 1)),
      );
      put(
        pager,
        !filter.text && (reply.next || cursors.length > 1)
          ? [
              h(
                'button',
                {
                  type: 'button',
                  disabled: cursors.length < 2,
                  onclick: () => {
                    cursors.pop();
                    again();
                  },
                },
                t('queue.previous'),
              ),
              h('span', t('queue.page', { n: cursors.length })),
              h(
                'button',
                {
                  type: 'button',
                  disabled: !reply.next,
                  onclick: () => {
                    cursors.push(reply.next);
                    again();
                  },
                },
                t('queue.next'),
              ),
            ]
          : [],
      );
    };
    const again = async () => {
      try {
        await read();
        put(problem);
      } catch (error) {
        if (error.name !== 'AbortError')
          put(problem, h('p.notice.bad', { role: 'alert' }, error.detail || t('problem.offline')));
      }
    };
    const change = (values) => {
      Object.assign(filter, values);
      cursors.length = 1;
      setQuery({
        state: filter.state === 'active' ? '' : filter.state,
        project: filter.project,
        partition: filter.partition,
        site: filter.site,
        q: filter.text,
      });
      again().then(() => announce(note.textContent));
    };

    const [projects, partitions, sites] = await Promise.all([
      list('/projects', {}, signal),
      list('/partitions', {}, signal),
      list('/sites', {}, signal),
      read(),
    ]);
    const typed = calm(() => change({ text: box.value.trim() }), 250);
    const box = h('input', {
      type: 'search',
      name: 'q',
      value: filter.text,
      placeholder: t('queue.search_hint'),
      oninput: typed,
      autocomplete: 'off',
    });
    const states = h(
      'fieldset.segments',
      h('legend.visually-hidden', t('queue.state')),
      FILTERS.map((state) =>
        h(
          'label',
          h('input', {
            type: 'radio',
            name: 'state',
            value: state,
            checked: state === filter.state,
            onchange: () => change({ state }),
          }),
          h('span', t(`filter.${state}`)),
        ),
      ),
    );
    put(
      main,
      h('header.head', h('div', h('h1', t('nav.queue')))),
      h(
        'form.toolbar.filters',
        { role: 'search', onsubmit: (event) => event.preventDefault() },
        states,
        h('label.field.grow', h('span', t('queue.search')), box),
        select(
          'project',
          t('queue.project'),
          filter.project,
          projects.map(({ name }) => [name, name]),
          (event) => change({ project: event.target.value }),
        ),
        select(
          'partition',
          t('queue.partition'),
          filter.partition,
          partitions.map(({ name }) => [name, name]),
          (event) => change({ partition: event.target.value }),
        ),
        select(
          'site',
          t('queue.site'),
          filter.site,
          sites.map((site) => [site.name, own(site, 'title')]),
          (event) => change({ site: event.target.value }),
        ),
      ),
      problem,
      body,
      h('div.row.between', note, pager),
    );

    // While somebody searches through thousands, events may make us read again only now and then.
    const soon = calm(again, 1200);
    const later = calm(again, 8000);
    const stop = [live.on('job', () => (filter.text ? later() : soon())), live.on('resync', soon)];
    return () => {
      stop.forEach((end) => end());
      [soon, later, typed].forEach((one) => one.cancel());
    };
  },
};
