// The projects the reader may see, each with its budget.
import { calm, list, live } from '../api.js';
import { gpuHours, num, pct, t, tOr } from '../i18n/index.js';
import { budgetBar } from '../parts/budget.js';
import { h, put } from '../parts/dom.js';
import { empty } from '../parts/state.js';
import { liveTable } from '../parts/table.js';
import { titles } from '../parts/titles.js';

const columns = (named) => [
  {
    key: 'name',
    label: t('project.name'),
    cell: (one) =>
      h('a.job', { href: `#/projects/${encodeURIComponent(one.name)}` }, h('b', one.name), h('span.name.title', one.title)),
  },
  {
    key: 'class',
    label: t('project.class'),
    cell: (one) => [tOr(`class.${one.class}`, one.class), h('small', named.owner(one.owner))],
  },
  {
    key: 'budget',
    label: t('project.budget'),
    class: 'wide',
    cell: (one) =>
      one.granted_gpu_us > 0
        ? [
            budgetBar(one),
            h(
              'small',
              t('budget.free_of_granted', {
                free: gpuHours(one.free_gpu_us),
                granted: gpuHours(one.granted_gpu_us),
                share: pct(one.spent_gpu_us / one.granted_gpu_us, 0),
              }),
            ),
          ]
        : h('span.mute', t('project.no_award')),
  },
  { key: 'gpus', label: t('project.gpus'), class: 'number', cell: (one) => num(one.gpus) },
  { key: 'running', label: t('overview.running'), class: 'number', cell: (one) => num(one.running) },
  { key: 'waiting', label: t('overview.waiting'), class: 'number', cell: (one) => num(one.waiting) },
  {
    key: 'links',
    label: t('project.more'),
    cell: (one) => h('a', { href: `#/projects/${encodeURIComponent(one.name)}/statement` }, t('statement.title')),
  },
];

export default {
  title: () => t('nav.projects'),
  async render(main, { signal }) {
    const table = liveTable({ caption: t('nav.projects'), columns: columns(await titles()), keyOf: (one) => one.name });
    const body = h('div');
    const read = async () => {
      const projects = await list('/projects', {}, signal);
      table.update(projects);
      put(body, projects.length ? table.element : empty(t('project.none')));
    };
    await read();
    put(main, h('header.head', h('div', h('h1', t('nav.projects')), h('p.lead', t('project.lead')))), body);
    const soon = calm(() => read().catch(() => {}), 5000);
    const stop = [live.on('job', soon), live.on('resync', soon)];
    return () => {
      stop.forEach((end) => end());
      soon.cancel();
    };
  },
};
