// The centre at a glance: capacity by site with what is modelled said aloud, owners' shares, use over time, money.
import { calm, get, live } from '../api.js';
import { gpuTime, moment, month, num, own, pct, t, won, wonShort } from '../i18n/index.js';
import { bar, key } from '../parts/bar.js';
import { stacked } from '../parts/chart.js';
import { h, put } from '../parts/dom.js';
import { empty, provenance } from '../parts/state.js';
import { facts } from '../parts/table.js';

const SITE_TONES = ['s1', 's2', 's3', 's4', 's5'];
const siteTone = (index) => SITE_TONES[index % SITE_TONES.length];
const sum = (list, field) => list.reduce((total, item) => total + item[field], 0);

/** Says before any figure how much of the centre is not real. */
function honesty(sites) {
  const modelled = sum(
    sites.filter((site) => site.modelled),
    'gpus',
  );
  const pretend = sum(
    sites.filter((site) => site.pretend),
    'gpus',
  );
  if (!modelled && !pretend) return null;
  return h(
    'aside.honesty',
    { 'aria-label': t('overview.honesty.label') },
    modelled > 0 &&
      h('p', h('span.label.modelled', t('label.modelled')), ' ', t('overview.honesty.modelled', { n: modelled })),
    pretend > 0 &&
      h('p', h('span.label.pretend', t('label.pretend')), ' ', t('overview.honesty.pretend', { n: pretend })),
  );
}

const figure = (word, value, more, href) =>
  h('div.figure', h('dt', href ? h('a', { href }, word) : word), h('dd', h('b', value), more && h('small', more)));

function headline(centre) {
  const gpus = sum(centre.sites, 'gpus');
  const busy = sum(centre.sites, 'gpus_busy');
  const out = sum(centre.sites, 'gpus_out');
  return h(
    'dl.headline',
    figure(
      t('overview.in_use'),
      num(busy),
      t('overview.of_gpus', { n: gpus, share: pct(busy / (gpus || 1)) }),
      '#/floor',
    ),
    figure(t('overview.running'), num(centre.running), null, '#/queue?state=RUNNING'),
    figure(t('overview.waiting'), num(centre.waiting), null, '#/queue?state=PENDING'),
    figure(t('overview.ended'), num(centre.ended), t('overview.since_opening'), '#/queue?state=ended'),
    figure(t('overview.out'), num(out), t('overview.out_more'), '#/nodes?state=out'),
  );
}

/** What fragmentation costs: idle GPUs that no whole node offers, and the largest gang that could start now. */
function fragmentation(site, free) {
  if (!free) return t('site.fragmentation_none');
  const grown = site.stranded_growth;
  const gain = site.largest_gang_packed > site.largest_gang;
  return [
    t('site.stranded', { n: site.gpus_stranded }),
    ...(grown ? [t('site.stranded_growth', { from: grown.from, n: grown.to, since: moment(grown.since_ms) })] : []),
    t(site.largest_gang ? 'site.largest_gang' : 'site.no_whole_node', { n: site.largest_gang }) +
      (gain ? t('site.largest_packed', { n: site.largest_gang_packed }) : ''),
  ].join('; ');
}

function siteCard(site, index) {
  const free = Math.max(0, site.gpus - site.gpus_busy - site.gpus_out);
  const words = t('overview.site_bar', { busy: site.gpus_busy, free, out: site.gpus_out });
  return h(
    `article.card.site${site.modelled ? '.is-modelled' : site.pretend ? '.is-pretend' : ''}`,
    { 'data-site': site.name },
    h('header', h('h3', own(site, 'title')), provenance(site)),
    h(
      'p.big',
      h('b', num(site.gpus_busy)),
      h('small', t('overview.site_of', { n: site.gpus, share: pct(site.gpus_busy / (site.gpus || 1)) })),
    ),
    bar(
      [
        { value: site.gpus_busy, tone: siteTone(index), text: t('gpu.busy') },
        { value: site.gpus_out, tone: 'out', text: t('gpu.out') },
      ],
      site.gpus,
      words,
    ),
    key([
      { tone: siteTone(index), word: t('gpu.busy'), text: num(site.gpus_busy) },
      { tone: 'free', word: t('gpu.free'), text: num(free) },
      { tone: 'out', word: t('gpu.out'), text: num(site.gpus_out) },
    ]),
    facts([
      [t('site.operator'), own(site, 'operator_title')],
      [t('site.models'), site.models.map((model) => model.toUpperCase()).join(', ')],
      [
        t('site.nodes'),
        [
          h('a', { href: `#/nodes?site=${encodeURIComponent(site.name)}` }, t('site.nodes_in', { n: site.nodes })),
          ' · ',
          t('site.islands', { n: site.islands }),
        ],
      ],
      [
        t('site.unwell'),
        site.nodes_drained + site.nodes_down
          ? t('site.unwell_of', { drained: site.nodes_drained, down: site.nodes_down })
          : null,
      ],
      [
        t('site.lost'),
        site.lost
          ? t('site.lost_since', { since: moment(site.lost.since_ms), reason: site.lost.reason, n: site.lost.fenced })
          : null,
      ],
      [
        t('site.fragmentation'),
        site.gpus ? fragmentation(site, free) : null,
      ],
      [
        t('overview.running'),
        h('a', { href: `#/queue?state=RUNNING&site=${encodeURIComponent(site.name)}` }, num(site.running)),
      ],
    ]),
    site.source && h('p.source', t('source'), ' ', site.source),
  );
}

function ownerRow(owner, index) {
  const tone = `o${(index % 6) + 1}`;
  // In tenths of a point, as it is shown.
  const gap = Math.round((owner.delivered_bp - owner.entitled_bp) / 10);
  const line = (word, share, name, mark) =>
    h(
      'div.share',
      h('span', word),
      h(
        'div.track',
        { role: 'img', 'aria-label': `${word} ${pct(share / 10000)}` },
        h(`span.fill.${name}`, { style: { width: `${share / 100}%` } }),
        mark !== undefined && h('span.tick', { style: { left: `${mark / 100}%` } }),
      ),
      h('b', pct(share / 10000)),
    );
  return h(
    'article.owner',
    h(
      'header',
      h('h3', h(`span.swatch.${tone}`, { 'aria-hidden': 'true' }), own(owner, 'title')),
      owner.delivered_gpu_us > 0 &&
        h(
          'span.gap',
          t(gap > 0 ? 'owner.above' : gap < 0 ? 'owner.below' : 'owner.even', { n: num(Math.abs(gap) / 10, 1) }),
        ),
    ),
    line(t('owner.entitled'), owner.entitled_bp, `${tone}.pale`),
    line(t('owner.delivered'), owner.delivered_bp, tone, owner.entitled_bp),
    h(
      'p.fine',
      [
        t('owner.now', { n: owner.gpus }),
        t('owner.waiting', { n: owner.waiting }),
        gpuTime(owner.delivered_gpu_us),
      ].join(' · '),
    ),
  );
}

const moneyRow = (row) =>
  h(
    'tr',
    h('th', { scope: 'row' }, own(row, 'title')),
    h('td.number', { title: won(row.won) }, wonShort(row.won)),
    h('td', month(row.from_ms)),
    h('td.source', row.source),
  );

function moneyTable(rows) {
  return h(
    'div.scroll-x',
    { tabindex: 0, role: 'region', 'aria-label': `${t('money.title')}: ${t('chart.figures')}` },
    h(
      'table.roomy',
      h(
        'thead',
        h(
          'tr',
          h('th', { scope: 'col' }, t('money.what')),
          h('th.number', { scope: 'col' }, t('money.amount')),
          h('th', { scope: 'col' }, t('money.from')),
          h('th', { scope: 'col' }, t('source.word')),
        ),
      ),
      h('tbody', rows.map(moneyRow)),
    ),
  );
}

/** The same figures as the chart, hourly at most, for those who read rather than look. */
function historyTable(centre) {
  const every = Math.max(1, Math.floor(centre.history.length / 12));
  const rows = centre.history.filter((_, index) => (centre.history.length - 1 - index) % every === 0);
  return h(
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
            centre.sites.map((site) => h('th.number', { scope: 'col' }, own(site, 'title'))),
          ),
        ),
        h(
          'tbody',
          rows.map(([at, values]) =>
            h(
              'tr',
              h('th', { scope: 'row' }, moment(at)),
              values.map((value) => h('td.number', num(value))),
            ),
          ),
        ),
      ),
    ),
  );
}

const section = (name, title, ...body) =>
  h('section', { 'aria-labelledby': `${name}-title` }, h('h2', { id: `${name}-title` }, title), ...body);

const series = (centre) => centre.sites.map((site, index) => ({ word: own(site, 'title'), tone: siteTone(index) }));

/** The owners and their shares, or why there are none. */
function ownersOf(centre) {
  if (!centre.owners.length) return empty(t('owner.none'));
  return sum(centre.sites, 'gpus') ? centre.owners.map(ownerRow) : empty(t('owner.no_gpus'));
}

/** The parts that change; `fill(centre)` puts the present into them. */
function parts() {
  const top = h('div');
  const sites = h('div.cards');
  const owners = h('div.owners');
  const figures = h('div');
  const fill = (centre) => {
    put(top, headline(centre));
    put(sites, centre.sites.map(siteCard));
    put(owners, ownersOf(centre));
    if (!figures.querySelector('details[open]')) put(figures, historyTable(centre));
  };
  return { top, sites, owners, figures, fill };
}

const whole = (centre, { top, sites, owners, figures }, chart) => [
  h('header.head', h('div', h('p.eyebrow', centre.name), h('h1', own(centre, 'title')))),
  honesty(centre.sites),
  top,
  section('sites', t('overview.sites'), centre.sites.length ? sites : empty(t('overview.no_sites'))),
  h(
    'div.two',
    section(
      'history',
      t('overview.history'),
      h('div.card', chart.element, key(series(centre).map((one) => ({ ...one, text: '' }))), figures),
    ),
    section('owners', t('overview.owners'), h('div.card', h('p.lead', t('overview.owners_lead')), owners)),
  ),
  centre.money.length > 0 &&
    section('money', t('money.title'), h('div.card', h('p.lead', t('money.lead')), moneyTable(centre.money))),
  h('p.fine', t('overview.version', { version: centre.version })),
];

/** The present of the stream of events, put into what was read last. */
function take(centre, pulse) {
  centre.running = pulse.running;
  centre.waiting = pulse.waiting;
  pulse.gpus_busy.forEach((busy, index) => {
    if (centre.sites[index]) centre.sites[index].gpus_busy = busy;
  });
  const last = centre.history.at(-1);
  return !last || pulse.now_ms - last[0] > 1000 ? [...centre.history, [pulse.now_ms, pulse.gpus_busy]] : centre.history;
}

export default {
  title: () => t('nav.overview'),
  async render(main, { signal }) {
    let centre = await get('/overview', {}, signal);
    const part = parts();
    part.fill(centre);
    const chart = stacked({
      label: t('overview.history'),
      points: centre.history,
      series: series(centre),
      limit: sum(centre.sites, 'gpus'),
    });
    put(main, whole(centre, part, chart));
    const refresh = calm(async () => {
      try {
        centre = await get('/overview', {}, signal);
        part.fill(centre);
        chart.update(centre.history);
      } catch {
        /* the live mark says it */
      }
    }, 10000);
    const pulsed = (pulse) => {
      chart.update(take(centre, pulse));
      // Not under a finger or a focus: drawing anew would take the link away between press and release.
      if (!main.querySelector(':active, a:focus')) part.fill(centre);
      refresh();
    };
    const stop = [live.on('pulse', pulsed), live.on('resync', refresh)];
    return () => {
      stop.forEach((end) => end());
      refresh.cancel();
      chart.end();
    };
  },
};
