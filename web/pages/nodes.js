// Nodes as a list: states, reasons, load; operators drain and resume here.
import { calm, list, live } from '../api.js';
import { memory, num, own, t } from '../i18n/index.js';
import { attempt, ask } from '../parts/dialog.js';
import { h, put } from '../parts/dom.js';
import { filters, pager, searchBox, segments, select } from '../parts/forms.js';
import { drainNode, resumeNode } from '../parts/node-acts.js';
import { reservations } from '../parts/reservations.js';
import { empty, faultsMark, nodeMark, provenance } from '../parts/state.js';
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
      cell: (one) => [nodeMark(one.state), one.reason ? h('small', one.reason) : null, faultsMark(one)],
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

/** True when a node is in the filter's state and has its text in it. */
function fits(one, { state, text }) {
  if (!(STATES[state] ?? STATES.all)(one)) return false;
  return (
    !text || [one.name, one.island, one.reason, one.gpu_model].join(' ').toLowerCase().includes(text.toLowerCase())
  );
}

/** The part of the page that changes: `read()` asks the server, `draw()` shows what the filter lets through. */
function results(filter, { operator, signal }) {
  const body = h('div');
  const note = h('p.fine', { 'aria-live': 'polite' });
  const turns = h('div.row.end');
  let nodes = [];
  let first = 0;
  const read = async () => {
    nodes = await list('/nodes', { site: filter.site }, signal);
    draw();
  };
  const table = liveTable({
    caption: t('nav.nodes'),
    columns: columns(operator, () => read()),
    keyOf: (one) => one.name,
  });
  const draw = () => {
    const fit = nodes.filter((one) => fits(one, filter));
    if (first >= fit.length) first = 0;
    table.update(fit.slice(first, first + PAGE));
    put(body, fit.length ? table.element : empty(t(filter.state === 'out' && !filter.text ? 'node.none_out' : 'node.none')));
    put(note, t('node.shown', { n: fit.length, of: num(nodes.length) }));
    const to = (place) =>
      place < 0 || place >= fit.length
        ? null
        : () => {
            first = place;
            draw();
          };
    put(turns, pager({ page: first / PAGE + 1, before: to(first - PAGE), next: to(first + PAGE) }));
  };
  return {
    elements: [body, h('div.row.between', note, turns)],
    read,
    draw,
    first: () => {
      first = 0;
    },
  };
}

export default {
  title: () => t('nav.nodes'),
  async render(main, { me, query, signal, setQuery }) {
    const operator = me.role === 'operator' || me.role === 'admin';
    const sites = await list('/sites', {}, signal);
    const of = (name) => query.get(name) || '';
    // Without a wish the smallest site is shown: thousands of modelled nodes are seldom what one looks for.
    const least = [...sites].sort((a, b) => a.nodes - b.nodes)[0]?.name ?? '';
    const filter = { site: of('site') || (of('state') ? '' : least), state: of('state') || 'all', text: of('q') };
    const part = results(filter, { operator, signal });
    const change = (values) => {
      Object.assign(filter, values);
      part.first();
      setQuery({ site: filter.site, state: filter.state === 'all' ? '' : filter.state, q: filter.text });
      if ('site' in values) part.read().catch(() => {});
      else part.draw();
    };
    const booked = await list('/reservations', {}, signal);
    await part.read();
    put(
      main,
      h('header.head', h('div', h('h1', t('nav.nodes')), operator ? null : h('p.lead', t('node.readers')))),
      filters(
        segments({
          name: 'state',
          legend: t('node.state'),
          options: Object.keys(STATES).map((state) => [state, t(`node.filter.${state}`)]),
          value: filter.state,
          pick: (state) => change({ state }),
        }),
        select({
          name: 'site',
          word: t('queue.site'),
          options: sites.map((site) => [site.name, own(site, 'title')]),
          value: filter.site,
          pick: (site) => change({ site }),
        }),
        searchBox({ value: filter.text, hint: t('node.search_hint'), pick: (text) => change({ text }) }),
      ),
      reservations(booked),
      part.elements,
    );
    const soon = calm(() => part.read().catch(() => {}), 4000);
    const stop = [live.on('nodes', soon), live.on('resync', soon)];
    return () => {
      stop.forEach((end) => end());
      soon.cancel();
    };
  },
};
