// One project: its awards and what is left of them, how it burns, who is in it, its jobs.
import { calm, get, live } from '../api.js';
import { bp, day, gpuHours, gpuTime, num, span, t, tOr, won } from '../i18n/index.js';
import { budget, budgetBar } from '../parts/budget.js';
import { bars } from '../parts/chart.js';
import { h, put } from '../parts/dom.js';
import { jobPage, jobTable, newestEnded, shown } from '../parts/job-table.js';
import { empty } from '../parts/state.js';
import { facts } from '../parts/table.js';
import { titles } from '../parts/titles.js';

const DAY = 86400000;
const GPU_HOUR = 3.6e9;

/** How long the rest lasts at the pace of the last seven days, in days; null where there is no pace. */
export function runway(project, now) {
  const recent = project.burn.filter(([at]) => at > now - 8 * DAY && at <= now - DAY / 2);
  const pace = recent.reduce((sum, [, us]) => sum + us, 0) / Math.max(1, recent.length);
  return pace > 0 ? project.free_gpu_us / pace : null;
}

function awards(project, now) {
  if (!project.awards.length) return empty(t('project.no_award'));
  return h(
    'ul.awards',
    project.awards.map((award) =>
      h(
        'li',
        h(
          'header',
          h('b', t('award.id', { id: String(award.id) })),
          h('span', t('award.period', { from: day(award.from_ms), until: day(award.until_ms) })),
          h(
            `span.chip.${now < award.from_ms ? 'wait' : now > award.until_ms ? 'mute' : 'good'}`,
            t(now < award.from_ms ? 'award.ahead' : now > award.until_ms ? 'award.past' : 'award.now'),
          ),
        ),
        budgetBar(award),
        h(
          'small',
          t('budget.free_of', { n: gpuHours(award.granted_gpu_us) }).replace(/^/, `${gpuHours(award.free_gpu_us)} `),
        ),
      ),
    ),
  );
}

function standing(project, named, now) {
  const lasts = runway(project, now);
  return facts([
    [t('project.owner'), named.owner(project.owner)],
    [t('project.class'), tOr(`class.${project.class}`, project.class)],
    [t('project.rate'), project.rate_bp ? t('project.rate_of', { n: bp(project.rate_bp) }) : t('project.rate_free')],
    [t('project.owed'), won(project.owed_won)],
    [t('project.gpus'), num(project.gpus)],
    [t('project.runway'), lasts === null ? null : lasts > 730 ? t('project.runway_long') : span(lasts * 86400)],
  ]);
}

const burnTable = (project) =>
  h(
    'details.figures',
    h('summary', t('chart.figures')),
    h(
      'div.scroll-x',
      h(
        'table',
        h(
          'thead',
          h(
            'tr',
            h('th', { scope: 'col' }, t('chart.when')),
            h('th.number', { scope: 'col' }, t('unit.gpu_hours_word')),
          ),
        ),
        h(
          'tbody',
          [...project.burn]
            .reverse()
            .map(([at, us]) => h('tr', h('th', { scope: 'row' }, day(at)), h('td.number', gpuHours(us)))),
        ),
      ),
    ),
  );

const heading = (project) => [
  h(
    'div',
    h('p.eyebrow', h('a', { href: '#/projects' }, t('nav.projects')), ' › ', project.name),
    h('h1', project.title || project.name),
  ),
  h('a.button', { href: `#/projects/${encodeURIComponent(project.name)}/statement` }, t('statement.title')),
];

const people = (project) =>
  h(
    'section.card',
    h('h2', t('project.members')),
    project.members.length
      ? h(
          'ul.people',
          project.members.map((one) => h('li', one)),
        )
      : empty(t('project.no_members')),
  );

const cards = (project, named, now) =>
  h(
    'div.two',
    h('section.card', h('h2', t('project.budget')), budget(project), standing(project, named, now)),
    h('div.stack', h('section.card', h('h2', t('award.title')), awards(project, now)), people(project)),
  );

/** The chart of what was spent; drawn anew only when the figures differ. */
function burnCard() {
  const element = h('section.card');
  let chart = null;
  let last = '';
  const update = (project) => {
    if (JSON.stringify(project.burn) === last) return;
    last = JSON.stringify(project.burn);
    chart?.end();
    const points = project.burn.map(([at, us]) => [at, us / GPU_HOUR]);
    chart = points.length
      ? bars({ label: t('project.burn'), points, format: (hours) => gpuTime(hours * GPU_HOUR) })
      : null;
    put(
      element,
      h('h2', t('project.burn')),
      h('p.fine', t('project.burn_unit')),
      chart ? [chart.element, burnTable(project)] : empty(t('project.no_burn')),
    );
  };
  return { element, update, end: () => chart?.end() };
}

export default {
  title: ([name]) => name,
  async render(main, { params: [name], signal }) {
    const table = jobTable(['id', 'state', 'user', 'where', 'resources', 'when', 'why'], t('queue.caption'));
    const head = h('header.head');
    const top = h('div');
    const burn = burnCard();
    const jobs = h('div');
    const note = h('p.fine');
    const read = async () => {
      const [named, project, active, over] = await Promise.all([
        titles(),
        get(`/projects/${encodeURIComponent(name)}`, {}, signal),
        jobPage({ state: 'active', project: name, limit: 50 }, signal),
        newestEnded({ project: name, want: 25 }, signal),
      ]);
      const rows = [...active.items, ...over.items.slice(0, 25)];
      if (!head.contains(document.activeElement)) put(head, heading(project));
      put(top, cards(project, named, Date.now()));
      burn.update(project);
      table.update(rows);
      put(jobs, rows.length ? table.element : empty(t('queue.none.all')));
      put(
        note,
        shown(rows.length, true),
        ' ',
        h('a', { href: `#/queue?state=all&project=${encodeURIComponent(name)}` }, t('project.all_jobs')),
      );
    };
    await read();
    put(main, head, top, burn.element, h('section', h('h2', t('project.jobs')), jobs, note));
    const soon = calm(() => read().catch(() => {}), 2500);
    const stop = [live.on('job', soon), live.on('resync', soon)];
    return () => {
      stop.forEach((end) => end());
      soon.cancel();
      burn.end();
    };
  },
};
