// Nodes as a list: states, reasons, load; operators drain and resume here.
import { calm, list, live } from '../api.js';
import { memory, num, own, t } from '../i18n/index.js';
import { attempt, ask } from '../parts/dialog.js';
import { h, put } from '../parts/dom.js';
import { drainNode, resumeNode } from '../parts/node-acts.js';
import { empty, nodeMark, provenance } from '../parts/state.js';
import { liveTable } from '../parts/table.js';

const PAGE = 100;
const STATES = {
  all: () => true,
  out: (one) => /^(DRAIN|DOWN)/.test(one.state),
  free: (one) => one.state === 'IDLE',
  busy: (one) => one.state === 'MIXED' || one.state === 'ALLOCATED',
};
const ones = (mask) => mask.toString(2).replaceAll('0', '').length;

function columns(operator, again) {
  const acts = (one) =>
    /^(DRAIN|DOWN)/.test(one.state)
      ? h(
          'button.small',
          {
            type: 'button',
            onclick: async () => {
              if (await resumeNode(one.name, { attempt })) again();
            },
          },
          t('node.resume'),
        )
      : h(
          'button.small',
          {
            type: 'button',
            onclick: async () => {
              if (await drainNode(one.name, { ask, attempt })) again();
            },
          },
          t('node.drain'),
        );
  return [
    {
      key: 'name',
      label: t('node.name'),
      cell: (one) => [h('b', one.name), one.modelled || one.pretend ? [' ', provenance(one)] : null],
    },
    {
      key: 'state',
      label: t('node.state'),
      cell: (one) => [nodeMark(one.state), one.reason ? h('small', one.reason) : null],
    },
    {
      key: 'place',
      label: t('node.place'),
      cell: (one) => [`${one.site} › ${one.island}`, h('small', t('floor.rack', { n: one.rack }))],
    },
    {
      key: 'gpus',
      label: t('node.gpus'),
      class: 'number',
      cell: (one) => [
        t('node.busy_of', { n: ones(one.gpus_busy_mask), of: one.gpus }),
        h('small', (one.gpu_model ?? '').toUpperCase()),
      ],
    },
    {
      key: 'cpus',
      label: t('node.cpus'),
      class: 'number',
      cell: (one) => t('node.busy_of', { n: one.cpus_busy, of: one.cpus }),
    },
    {
      key: 'memory',
      label: t('node.memory'),
      class: 'number',
      cell: (one) => [memory(one.memory_busy_mib), h('small', memory(one.memory_mib))],
    },
    {
      key: 'jobs',
      label: t('floor.jobs'),
      cell: (one) =>
        one.jobs.slice(0, 4).map((id, index) => [index ? ', ' : '', h('a', { href: `#/jobs/${id}` }, String(id))]),
    },
    ...(operator ? [{ key: 'acts', label: t('node.acts'), cell: acts }] : []),
  ];
}

export default {
  title: () => t('nav.nodes'),
  async render(main, { me, query, signal, setQuery }) {
    const operator = me.role === 'operator' || me.role === 'admin';
    const sites = await list('/sites', {}, signal);
    const filter = {
      site: query.get('site') || (sites.at(-1)?.name ?? ''),
      state: query.get('state') || 'all',
      text: query.get('q') || '',
    };
    if (query.get('state') === 'out' && !query.get('site')) filter.site = '';
    let nodes = [];
    let first = 0;
    const body = h('div');
    const note = h('p.fine', { 'aria-live': 'polite' });
    const pager = h('div.row.end');
    const draw = () => {
      const text = filter.text.toLowerCase();
      const fit = nodes.filter(
        (one) =>
          (STATES[filter.state] ?? STATES.all)(one) &&
          (!text || [one.name, one.island, one.reason, one.gpu_model].join(' ').toLowerCase().includes(text)),
      );
      if (first >= fit.length) first = 0;
      table.update(fit.slice(first, first + PAGE));
      put(body, fit.length ? table.element : empty(t('node.none')));
      put(note, t('node.shown', { n: fit.length, of: num(nodes.length) }));
      const turn = (word, to) =>
        h(
          'button',
          {
            type: 'button',
            disabled: to < 0 || to >= fit.length,
            onclick: () => {
              first = to;
              draw();
            },
          },
          word,
        );
      put(
        pager,
        fit.length > PAGE
          ? [
              turn(t('queue.previous'), first - PAGE),
              h('span', t('queue.page', { n: first / PAGE + 1 })),
              turn(t('queue.next'), first + PAGE),
            ]
          : [],
      );
    };
    const read = async () => {
      nodes = await list('/nodes', { site: filter.site }, signal);
      draw();
    };
    const table = liveTable({
      caption: t('nav.nodes'),
      columns: columns(operator, () => read()),
      keyOf: (one) => one.name,
    });
    const change = (values, again) => {
      Object.assign(filter, values);
      first = 0;
      setQuery({ site: filter.site, state: filter.state === 'all' ? '' : filter.state, q: filter.text });
      if (again) read().catch(() => {});
      else draw();
    };
    await read();
    const states = h(
      'fieldset.segments',
      h('legend.visually-hidden', t('node.state')),
      Object.keys(STATES).map((state) =>
        h(
          'label',
          h('input', {
            type: 'radio',
            name: 'state',
            checked: state === filter.state,
            onchange: () => change({ state }),
          }),
          h('span', t(`node.filter.${state}`)),
        ),
      ),
    );
    put(
      main,
      h('header.head', h('div', h('h1', t('nav.nodes')), operator ? null : h('p.lead', t('node.readers')))),
      h(
        'form.toolbar.filters',
        { role: 'search', onsubmit: (event) => event.preventDefault() },
        states,
        h(
          'label.field',
          h('span', t('queue.site')),
          h(
            'select',
            { name: 'site', onchange: (event) => change({ site: event.target.value }, true) },
            [['', t('queue.any')], ...sites.map((site) => [site.name, own(site, 'title')])].map(([code, word]) =>
              h('option', { value: code, selected: code === filter.site }, word),
            ),
          ),
        ),
        h(
          'label.field.grow',
          h('span', t('queue.search')),
          h('input', {
            type: 'search',
            name: 'q',
            value: filter.text,
            placeholder: t('node.search_hint'),
            oninput: (event) => change({ text: event.target.value.trim() }),
          }),
        ),
      ),
      body,
      h('div.row.between', note, pager),
    );
    const soon = calm(() => read().catch(() => {}), 4000);
    const stop = [live.on('nodes', soon), live.on('resync', soon)];
    return () => {
      stop.forEach((end) => end());
      soon.cancel();
    };
  },
};
