// Every node and GPU of the centre on one canvas, live. A summary by island says the same in words.
import { calm, get, live } from '../api.js';
import { num, own, pct, t } from '../i18n/index.js';
import { announce, colour, h, put } from '../parts/dom.js';
import { segments } from '../parts/forms.js';
import { FloorCanvas } from '../parts/floor-canvas.js';
import { handle } from '../parts/floor-input.js';
import { layout } from '../parts/floor-layout.js';
import { heldWord, ones, panel, stateWord, tooltip } from '../parts/floor-side.js';
import { empty, provenance } from '../parts/state.js';

/** Colours of the floor out of the style sheet, so that both themes hold. */
function paints() {
  const of = (name) => colour(`--${name}`);
  const owners = Object.fromEntries([1, 2, 3, 4, 5, 6].map((index) => [index, of(`o${index}`)]));
  return {
    ...owners,
    ground: of('floor-ground'),
    panel: of('floor-panel'),
    line: of('line'),
    ink: of('ink'),
    mute: of('mute'),
    free: of('floor-free'),
    held: of('run'),
    drain: of('drain'),
    down: of('bad'),
    modelled: of('modelled'),
    modelledInk: of('modelled-ink'),
    pretend: of('pretend'),
    pretendInk: of('pretend-ink'),
    font: getComputedStyle(document.body).fontFamily,
  };
}

/** Counts of an island's GPUs: held in all and by each owner, free, drained, down. */
function count(island, nodes, owners) {
  const sum = { gpus: 0, free: 0, drain: 0, down: 0, held: 0, owners: owners.map(() => 0) };
  for (let index = island.first; index < island.first + island.nodes; index += 1) {
    const node = nodes[index];
    const busy = ones(node.b);
    sum.gpus += node.g;
    sum.held += busy;
    sum[node.s === 'x' ? 'down' : node.s === 'd' ? 'drain' : 'free'] += node.g - busy;
    for (let device = 0; device < node.g; device += 1)
      if ((node.b >>> device) & 1 && node.o[device]) sum.owners[node.o[device] - 1] += 1;
  }
  return sum;
}

function legend(owners, byOwner) {
  const entry = (tone, word) => h('li', h(`span.cell.${tone}`, { 'aria-hidden': 'true' }), word);
  return h(
    'ul.legend',
    { 'aria-label': t('floor.legend') },
    entry('free', t('gpu.free')),
    byOwner
      ? owners.map((owner, index) => entry(`owner.o${index + 1}`, own(owner, 'title')))
      : entry('held', t('gpu.busy')),
    entry('drain', t('node.DRAINED')),
    entry('down', t('node.DOWN')),
  );
}

function summary(floor, owners) {
  const words = [
    t('floor.site'),
    t('floor.island'),
    t('floor.nodes'),
    t('floor.gpus'),
    t('gpu.busy'),
    ...owners.map((owner) => own(owner, 'title')),
    t('gpu.free'),
    t('node.DRAINED'),
    t('node.DOWN'),
  ];
  const cell = (value) => h('td.number', num(value));
  const rows = floor.sites.flatMap((site) =>
    site.islands.map((island) => {
      const sum = count(island, floor.nodes, owners);
      return h(
        'tr',
        h('th', { scope: 'row' }, own(site, 'title'), ' ', provenance(site)),
        h('td', island.name),
        cell(island.nodes),
        cell(sum.gpus),
        h('td.number', num(sum.held), h('small', ` ${pct(sum.held / (sum.gpus || 1), 0)}`)),
        sum.owners.map(cell),
        cell(sum.free),
        cell(sum.drain),
        cell(sum.down),
      );
    }),
  );
  return h(
    'div.scroll-x',
    { tabindex: 0, role: 'region', 'aria-label': t('floor.summary') },
    h(
      'table',
      h('caption.visually-hidden', t('floor.summary')),
      h(
        'thead',
        h(
          'tr',
          words.map((word, index) => h(index > 1 ? 'th.number' : 'th', { scope: 'col' }, word)),
        ),
      ),
      h('tbody', rows),
    ),
  );
}

/** The drawing with its words set in the reader's language. */
function drawingOn(canvas) {
  const drawing = new FloorCanvas(canvas, paints);
  drawing.labelOf = (site) => ({
    title: own(site, 'title'),
    tag: site.modelled ? t('label.modelled') : site.pretend ? t('label.pretend') : '',
    tone: site.modelled ? 'modelled' : 'pretend',
  });
  drawing.islandLabel = (island) =>
    [island.name, island.gpu_model?.toUpperCase(), t('floor.island_nodes', { n: island.nodes })]
      .filter(Boolean)
      .join(' · ');
  return drawing;
}

function toolbar(drawing, colourBy) {
  const options = [
    [true, t('floor.by_owner')],
    [false, t('floor.by_state')],
  ];
  const zoomBy = (factor) => drawing.zoom(factor, drawing.canvas.clientWidth / 2, drawing.canvas.clientHeight / 2);
  const button = (word, name, onclick) => h('button', { type: 'button', 'aria-label': name, onclick }, word);
  return h(
    'div.toolbar',
    segments({ name: 'colour', legend: t('floor.colour_by'), options, value: true, pick: colourBy }),
    h(
      'div.row',
      button('−', t('floor.zoom_out'), () => zoomBy(1 / 1.5)),
      button('+', t('floor.zoom_in'), () => zoomBy(1.5)),
      button(t('floor.fit'), null, () => drawing.fit()),
    ),
  );
}

/** Shows what is looked at and what is chosen. Answers the pair that `handle` wants. */
function words({ drawing, floor, stage, tip, side, signal, operator }) {
  const { canvas } = drawing;
  const tell = tooltip(tip, signal);
  const show = panel(side, {
    signal,
    operator,
    close: () => {
      choose(-1);
      canvas.focus();
    },
  });
  let looked = -1;
  const look = (index, x, y) => {
    tip.hidden = index < 0;
    if (index >= 0) {
      if (index !== looked) tell(floor.nodes[index], drawing.plan.nodes[index]);
      tip.style.left = `${Math.max(4, Math.min(stage.clientWidth - tip.offsetWidth - 4, x + 16))}px`;
      tip.style.top = `${y + tip.offsetHeight + 24 > stage.clientHeight ? y - tip.offsetHeight - 12 : y + 18}px`;
    }
    looked = index;
  };
  const choose = (index) => {
    const moved = drawing.chosen !== index;
    drawing.mark('chosen', index);
    side.hidden = index < 0;
    tip.hidden = true;
    if (index < 0) return;
    const node = floor.nodes[index];
    if (moved) announce(`${node.n}, ${stateWord(node)}, ${heldWord(node)}`);
    show(node, drawing.plan.nodes[index]);
  };
  return { look, choose };
}

/** Fits the drawing to its stage now and whenever that changes; lays out anew only for another shape. */
function fitted(drawing, floor, stage) {
  const measure = () => {
    const { clientWidth: width, clientHeight: height } = stage;
    if (!width || !height) return;
    const aspect = width / height;
    const anew = !drawing.plan || Math.abs(aspect / drawing.aspect - 1) > 0.15;
    if (anew) {
      drawing.aspect = aspect;
      drawing.set(floor, layout(floor, aspect));
    }
    drawing.resize(width, height);
    if (anew) drawing.fit();
  };
  measure();
  const watch = new ResizeObserver(measure);
  watch.observe(stage);
  return () => watch.disconnect();
}

/** Keeps the drawing's colours with the theme. */
function themed(drawing) {
  const retheme = () => drawing.retheme();
  const dark = matchMedia('(prefers-color-scheme: dark)');
  addEventListener('madang:theme', retheme);
  dark.addEventListener('change', retheme);
  return () => {
    removeEventListener('madang:theme', retheme);
    dark.removeEventListener('change', retheme);
  };
}

/** Keeps the floor with the stream of events: changed nodes only, all of it after a gap. */
function followed({ drawing, floor, choose, recount, signal }) {
  const reread = async () => {
    try {
      floor.nodes = (await get('/floor', {}, signal)).nodes;
      drawing.all();
      recount();
    } catch {
      /* the live mark says it */
    }
  };
  const changed = ({ nodes }) => {
    const known = nodes.filter(([index]) => index < floor.nodes.length);
    for (const [index, entry] of known) floor.nodes[index] = entry;
    drawing.touch(known.map(([index]) => index));
    if (known.some(([index]) => index === drawing.chosen)) choose(drawing.chosen);
    recount();
  };
  const stop = [live.on('resync', reread), live.on('nodes', changed)];
  return () => stop.forEach((end) => end());
}

export default {
  title: () => t('nav.floor'),
  async render(main, { me, signal, show }) {
    const [floor, { owners }] = await Promise.all([get('/floor', {}, signal), get('/overview', {}, signal)]);
    const gpus = t('floor.gpus_in', { n: floor.nodes.reduce((sum, node) => sum + node.g, 0) });
    const nodes = t('site.nodes_in', { n: floor.nodes.length });
    const canvas = h('canvas', {
      tabindex: 0,
      role: 'application',
      'aria-label': t('floor.canvas', { nodes, gpus }),
      'aria-describedby': 'floor-help',
    });
    const tip = h('div.floor-tip', { hidden: true });
    const stage = h('div.stage', canvas, tip);
    const side = h('aside.floor-side', { 'aria-label': t('floor.chosen'), hidden: true });
    const table = h('div');
    const keys = h('div');
    const drawing = drawingOn(canvas);
    const colourBy = (byOwner) => {
      drawing.byOwner = byOwner;
      drawing.all();
      put(keys, legend(owners, byOwner));
    };
    colourBy(true);
    put(table, summary(floor, owners));
    put(
      main,
      h(
        'header.head',
        h(
          'div',
          h('h1', t('nav.floor')),
          h('p.lead', t('floor.lead', { nodes, gpus, sites: t('floor.sites_in', { n: floor.sites.length }) })),
        ),
        toolbar(drawing, colourBy),
      ),
      keys,
      h('div.floor', floor.nodes.length ? stage : empty(t('floor.none')), side),
      h('p.fine', { id: 'floor-help' }, t('floor.help')),
      h('details.card', h('summary', t('floor.summary')), table),
    );
    show();
    const recount = calm(() => put(table, summary(floor, owners)), 2000);
    const { look, choose } = words({
      drawing,
      floor,
      stage,
      tip,
      side,
      signal,
      operator: me.role === 'operator' || me.role === 'admin',
    });
    const stop = [
      fitted(drawing, floor, stage),
      themed(drawing),
      handle(drawing, { look, choose }),
      followed({ drawing, floor, choose, recount, signal }),
    ];
    return () => {
      stop.forEach((end) => end());
      recount.cancel();
      drawing.stop();
    };
  },
};
