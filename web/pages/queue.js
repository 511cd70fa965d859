// Jobs waiting, running and ended: filtered by the server, searched here, live.
import { calm, list, live } from '../api.js';
import { moment, num, own, t } from '../i18n/index.js';
import { announce, h, put } from '../parts/dom.js';
import { filters, pager, searchBox, segments, select } from '../parts/forms.js';
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

/** One page for a filter, from `cursor` on: `{items, next, note}`. */
async function read(filter, cursor, signal) {
  const { text, ...server } = filter;
  if (text) {
    const found = await search(server, text, signal);
    return {
      items: found.items,
      note: t(found.whole ? 'queue.searched' : 'queue.searched_some', { n: found.items.length, of: num(found.looked) }),
    };
  }
  if (OVER.includes(server.state)) return newest(server, cursor ?? 0, signal);
  const { items, next } = await jobPage({ ...server, after: cursor, limit: PAGE }, signal);
  return { items, next, note: shown(items.length, next || cursor) };
}

/** What the page says when no job fits. */
function nothing({ text, state }) {
  if (text) return empty(t('queue.no_hits', { text }));
  if (state !== 'active') return empty(t(`queue.none.${state}`));
  return empty(t('queue.none.active'), h('br'), t('queue.none.how'), ' ', h('code', 'madang submit --wrap hostname'));
}

/** The part of the page that changes. `again()` reads what `filter` says; answers its elements and that. */
function results(filter, signal) {
  const table = jobTable(['id', 'state', 'project', 'where', 'resources', 'limit', 'when', 'why'], t('queue.caption'));
  const note = h('p.fine', { 'aria-live': 'polite' });
  const turns = h('div.row.end');
  const body = h('div');
  const problem = h('div');
  const cursors = [undefined]; // where each page so far began; the last is the one shown
  let asked = 0;
  const again = async () => {
    const mine = (asked += 1);
    const reply = await read(filter, cursors.at(-1), signal);
    if (mine !== asked) return;
    table.update(reply.items);
    put(problem);
    put(
      body,
      reply.items.length
        ? table.element
        : nothing(filter),
    );
    put(note, reply.note);
    put(
      turns,
      pager({
        page: cursors.length,
        before:
          cursors.length > 1
            ? () => {
                cursors.pop();
                tried();
              }
            : null,
        next: reply.next
          ? () => {
              cursors.push(reply.next);
              tried();
            }
          : null,
      }),
    );
  };
  const tried = async () => {
    try {
      await again();
    } catch (error) {
      if (error.name !== 'AbortError')
        put(problem, h('p.notice.bad', { role: 'alert' }, error.detail || t('problem.offline')));
    }
  };
  return {
    elements: [problem, body, h('div.row.between', note, turns)],
    again,
    tried,
    first: () => {
      cursors.length = 1;
    },
    said: () => note.textContent,
  };
}

function controls(filter, { projects, partitions, sites }, change) {
  const names = (objects) => objects.map(({ name }) => [name, name]);
  const typed = calm(() => change({ text: typed.text }), 250);
  return {
    typed,
    form: filters(
      segments({
        name: 'state',
        legend: t('queue.state'),
        options: FILTERS.map((state) => [state, t(`filter.${state}`)]),
        value: filter.state,
        pick: (state) => change({ state }),
      }),
      searchBox({
        value: filter.text,
        hint: t('queue.search_hint'),
        pick: (text) => {
          typed.text = text;
          typed();
        },
      }),
      select({
        name: 'project',
        word: t('queue.project'),
        options: names(projects),
        value: filter.project,
        pick: (project) => change({ project }),
      }),
      select({
        name: 'partition',
        word: t('queue.partition'),
        options: names(partitions),
        value: filter.partition,
        pick: (partition) => change({ partition }),
      }),
      select({
        name: 'site',
        word: t('queue.site'),
        options: sites.map((site) => [site.name, own(site, 'title')]),
        value: filter.site,
        pick: (site) => change({ site }),
      }),
    ),
  };
}

export default {
  title: () => t('nav.queue'),
  async render(main, { query, signal, setQuery }) {
    const of = (name) => query.get(name) || '';
    const filter = {
      state: FILTERS.includes(of('state')) ? of('state') : 'active',
      project: of('project'),
      partition: of('partition'),
      site: of('site'),
      text: of('q'),
    };
    const part = results(filter, signal);
    const change = async (values) => {
      Object.assign(filter, values);
      part.first();
      const { text, state, ...rest } = filter;
      setQuery({ state: state === 'active' ? '' : state, ...rest, q: text });
      await part.tried();
      announce(part.said());
    };
    const [projects, partitions, sites] = await Promise.all([
      list('/projects', {}, signal),
      list('/partitions', {}, signal),
      list('/sites', {}, signal),
      part.again(),
    ]);
    const { form, typed } = controls(filter, { projects, partitions, sites }, change);
    put(main, h('header.head', h('div', h('h1', t('nav.queue')))), form, part.elements);
    // While somebody searches through thousands, events may make us read again only now and then.
    const soon = calm(part.tried, 1200);
    const later = calm(part.tried, 8000);
    const stop = [
      live.on('job', () => (filter.text || OVER.includes(filter.state) ? later() : soon())),
      live.on('resync', soon),
    ];
    return () => {
      stop.forEach((end) => end());
      [soon, later, typed].forEach((one) => one.cancel());
    };
  },
};
