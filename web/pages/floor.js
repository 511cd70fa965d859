// Every node and GPU of the centre on one canvas, live. A summary by island says the same in words.
import { calm, get, live } from '../api.js';
import { num, own, pct, t } from '../i18n/index.js';
import { announce, colour, h, put } from '../parts/dom.js';
import { attempt, ask } from '../parts/dialog.js';
import { FloorCanvas } from '../parts/floor-canvas.js';
import { handle } from '../parts/floor-input.js';
import { layout } from '../parts/floor-layout.js';
import { empty, nodeMark, provenance } from '../parts/state.js';
import { facts } from '../parts/table.js';
import { drainNode, resumeNode } from '../parts/node-acts.js';

const ones = (mask) => { let count = 0; for (let left = mask >>> 0; left; left &= left - 1) count += 1; return count; };

/** Colours of the floor out of the style sheet, so that both themes hold. */
function paints() {
  const of = (name) => colour(`--${name}`);
  const owners = Object.fromEntries([1, 2, 3, 4, 5, 6].map((index) => [index, of(`o${index}`)]));
  return { ...owners, ground: of('floor-ground'), panel: of('floor-panel'), line: of('line'), ink: of('ink'), mute: of('mute'), free: of('floor-free'), held: of('run'), drain: of('wait'), down: of('bad'),
    modelled: of('modelled'), modelledInk: of('modelled-ink'), pretend: of('pretend'), pretendInk: of('pretend-ink'), font: getComputedStyle(document.body).fontFamily };
}

const stateWord = (node) => t(node.s === 'x' ? 'node.DOWN' : node.s === 'd' ? (node.b ? 'node.DRAINING' : 'node.DRAINED') : !node.b ? 'node.IDLE' : ones(node.b) === node.g ? 'node.ALLOCATED' : 'node.MIXED');

/** Counts of an island's GPUs: free, held by each owner, out. */
function count(island, nodes, owners) {
  const sum = { gpus: 0, free: 0, drain: 0, down: 0, held: 0, owners: owners.map(() => 0) };
  for (let index = island.first; index < island.first + island.nodes; index += 1) {
    const node = nodes[index];
    const busy = ones(node.b);
    sum.gpus += node.g;
    sum.held += busy;
    sum[node.s === 'x' ? 'down' : node.s === 'd' ? 'drain' : 'free'] += node.g - busy;
    for (let device = 0; device < node.g; device += 1) if ((node.b >>> device) & 1 && node.o[device]) sum.owners[node.o[device] - 1] += 1;
  }
  return sum;
}

function legend(owners, byOwner) {
  const entry = (tone, word) => h('li', h(`span.cell.${tone}`, { 'aria-hidden': 'true' }), word);
  return h('ul.legend', { 'aria-label': t('floor.legend') }, entry('free', t('gpu.free')),
    byOwner ? owners.map((owner, index) => entry(`owner.o${index + 1}`, own(owner, 'title'))) : entry('held', t('gpu.busy')),
    entry('drain', t('node.DRAINED')), entry('down', t('node.DOWN')));
}

function summary(floor, owners) {
  const head = h('thead', h('tr', [t('floor.site'), t('floor.island'), t('floor.nodes'), t('floor.gpus'), t('gpu.busy'), ...owners.map((owner) => own(owner, 'title')), t('gpu.free'), t('node.DRAINED'), t('node.DOWN')]
    .map((word, index) => h(index > 1 ? 'th.number' : 'th', { scope: 'col' }, word))));
  const rows = floor.sites.flatMap((site) => site.islands.map((island) => {
    const sum = count(island, floor.nodes, owners);
    const cell = (value) => h('td.number', num(value));
    return h('tr', h('th', { scope: 'row' }, own(site, 'title'), ' ', provenance(site)), h('td', island.name), cell(island.nodes), cell(sum.gpus), h('td.number', num(sum.held), h('small', ` ${pct(sum.held / (sum.gpus || 1), 0)}`)), sum.owners.map(cell), cell(sum.free), cell(sum.drain), cell(sum.down));
  }));
  return h('div.scroll-x', { tabindex: 0, role: 'region', 'aria-label': t('floor.summary') }, h('table', h('caption.visually-hidden', t('floor.summary')), head, h('tbody', rows)));
}

const deviceRow = (node) => h('span.devices', { 'aria-hidden': 'true' }, Array.from({ length: node.g }, (_, device) =>
  h(`i.cell.${node.s === 'x' ? 'down' : (node.b >>> device) & 1 ? `owner.o${node.o[device] || 1}` : node.s === 'd' ? 'drain' : 'free'}`)));

/** Looks nodes' jobs up as the pointer rests, and remembers them for a few seconds. */
function lookup(signal) {
  const known = new Map();
  return async (name) => {
    const entry = known.get(name);
    if (entry && Date.now() - entry.at < 5000) return entry.view;
    const reply = await get('/nodes', { names: name }, signal);
    const view = (reply.items ?? reply)[0] ?? null;
    known.set(name, { at: Date.now(), view });
    return view;
  };
}

const jobLinks = (view, max) => [view.jobs.slice(0, max).map((id, index) => [index ? ', ' : '', h('a', { href: `#/jobs/${id}` }, t('job.id', { id: String(id) }))]), view.jobs.length > max ? t('floor.more_jobs', { n: view.jobs.length - max }) : null];

export default {
  title: () => t('nav.floor'),
  async render(main, { me, signal, show }) {
    const [floor, centre] = await Promise.all([get('/floor', {}, signal), get('/overview', {}, signal)]);
    const { owners } = centre;
    const gpus = floor.nodes.reduce((sum, node) => sum + node.g, 0);
    const canvas = h('canvas', { tabindex: 0, role: 'application', 'aria-label': t('floor.canvas', { nodes: num(floor.nodes.length), gpus: num(gpus) }), 'aria-describedby': 'floor-help' });
    const tip = h('div.floor-tip', { hidden: true });
    const stage = h('div.stage', canvas, tip);
    const side = h('aside.floor-side', { 'aria-label': t('floor.chosen'), hidden: true });
    const words = h('div');
    const keys = h('div');
    const drawing = new FloorCanvas(canvas, paints);
    drawing.labelOf = (site) => ({ title: own(site, 'title'), tag: site.modelled ? t('label.modelled') : site.pretend ? t('label.pretend') : '', tone: site.modelled ? 'modelled' : 'pretend' });
    drawing.islandLabel = (island) => [island.name, island.gpu_model?.toUpperCase(), t('floor.island_nodes', { n: island.nodes })].filter(Boolean).join(' · ');
    const find = lookup(signal);

    const colourBy = (byOwner) => {
      drawing.byOwner = byOwner;
      drawing.all();
      put(keys, legend(owners, byOwner));
    };
    const choice = (value, word, checked) => h('label', h('input', { type: 'radio', name: 'floor-colour', checked, onchange: () => colourBy(value) }), h('span', word));
    const zoomBy = (factor) => drawing.zoom(factor, canvas.clientWidth / 2, canvas.clientHeight / 2);
    const tools = h('div.toolbar', h('fieldset.segments', h('legend.visually-hidden', t('floor.colour_by')), choice(true, t('floor.by_owner'), true), choice(false, t('floor.by_state'), false)),
      h('div.row', h('button', { type: 'button', onclick: () => zoomBy(1 / 1.5), 'aria-label': t('floor.zoom_out') }, '−'), h('button', { type: 'button', onclick: () => zoomBy(1.5), 'aria-label': t('floor.zoom_in') }, '+'), h('button', { type: 'button', onclick: () => drawing.fit() }, t('floor.fit'))));

    // -- looking and choosing
    let looked = -1;
    const line = (node, place) => [h('b', node.n), h('span.fine', `${own(place.site, 'title')} › ${place.island.name} › ${t('floor.rack', { n: place.rack })}`), h('span', stateWord(node), ' · ', t('floor.held_of', { n: ones(node.b), of: node.g })), deviceRow(node), place.site.modelled || place.site.pretend ? provenance(place.site) : null];
    const look = (index, x, y) => {
      const fresh = index !== looked;
      looked = index;
      tip.hidden = index < 0;
      if (index < 0) return;
      const node = floor.nodes[index];
      if (fresh) {
        const jobs = h('span.fine', node.b ? '…' : t('floor.no_jobs'));
        put(tip, line(node, drawing.plan.nodes[index]), jobs);
        if (node.b) setTimeout(async () => {
          if (looked !== index) return;
          try { const view = await find(node.n); if (view) put(jobs, view.jobs.length ? [t('floor.jobs'), ' ', jobLinks(view, 4)] : t('floor.foreign')); } catch { jobs.remove(); }
        }, 120);
      }
      tip.style.left = `${Math.max(4, Math.min(stage.clientWidth - tip.offsetWidth - 4, x + 16))}px`;
      tip.style.top = `${y + tip.offsetHeight + 24 > stage.clientHeight ? y - tip.offsetHeight - 12 : y + 18}px`;
    };
    const choose = async (index) => {
      drawing.mark('chosen', index);
      side.hidden = index < 0;
      if (index < 0) return;
      const node = floor.nodes[index];
      const place = drawing.plan.nodes[index];
      announce(`${node.n}, ${stateWord(node)}, ${t('floor.held_of', { n: ones(node.b), of: node.g })}`);
      const close = h('button.quiet', { type: 'button', onclick: () => { choose(-1); canvas.focus(); }, 'aria-label': t('floor.close') }, '✕');
      const rest = h('div', h('p.fine', t('state.loading')));
      put(side, h('header', h('h2', node.n), close), h('p', deviceRow(node)), h('p.fine', `${own(place.site, 'title')} › ${place.island.name} › ${t('floor.rack', { n: place.rack })}`), rest);
      try {
        const view = await find(node.n);
        if (drawing.chosen !== index || !view) return;
        put(rest, facts([[t('node.state'), nodeMark(view.state)], [t('node.reason'), view.reason], [t('node.gpus'), `${num(view.gpus)} × ${(view.gpu_model ?? '').toUpperCase()}`], [t('node.cpus'), t('node.busy_of', { n: view.cpus_busy, of: view.cpus })],
          [t('node.partitions'), view.partitions.join(', ')], [t('floor.jobs'), view.jobs.length ? h('span', jobLinks(view, 12)) : t('floor.no_jobs')]]),
        (me.role === 'operator' || me.role === 'admin') && h('div.row', view.state.startsWith('DRAIN') || view.state === 'DOWN' ? h('button', { type: 'button', onclick: () => resumeNode(view.name, { attempt }) }, t('node.resume')) : h('button', { type: 'button', onclick: () => drainNode(view.name, { ask, attempt }) }, t('node.drain'))));
      } catch (problem) { if (problem.name !== 'AbortError') put(rest, h('p.fine', problem.message)); }
    };

    // -- drawing and living
    colourBy(true);
    put(words, summary(floor, owners));
    put(main, h('header.head', h('div', h('h1', t('nav.floor')), h('p.lead', t('floor.lead', { nodes: num(floor.nodes.length), gpus: num(gpus), sites: num(floor.sites.length) }))), tools), keys,
      h('div.floor', floor.nodes.length ? stage : empty(t('floor.none')), side), h('p.fine', { id: 'floor-help' }, t('floor.help')), h('details.card', h('summary', t('floor.summary')), words));
    show();
    const measure = () => {
      const { clientWidth: width, clientHeight: height } = stage;
      if (!width || !height) return;
      const first = !drawing.plan;
      drawing.ratio = devicePixelRatio || 1;
      if (first || Math.abs(width / height / drawing.aspect - 1) > 0.15) { drawing.aspect = width / height; drawing.set(floor, layout(floor, drawing.aspect)); drawing.resize(width, height); drawing.fit(); } else drawing.resize(width, height);
    };
    measure();
    const watch = new ResizeObserver(measure);
    watch.observe(stage);
    const recount = calm(() => put(words, summary(floor, owners)), 2000);
    const reread = async () => {
      try { const fresh = await get('/floor', {}, signal); floor.nodes = fresh.nodes; drawing.all(); recount(); } catch { /* the live mark says it */ }
    };
    const retheme = () => drawing.retheme();
    const dark = matchMedia('(prefers-color-scheme: dark)');
    addEventListener('madang:theme', retheme);
    dark.addEventListener('change', retheme);
    const stop = [handle(drawing, { look, choose }), live.on('resync', reread), live.on('nodes', ({ nodes }) => {
      for (const [index, entry] of nodes) if (index < floor.nodes.length) floor.nodes[index] = entry;
      drawing.touch(nodes.map(([index]) => index).filter((index) => index < floor.nodes.length));
      if (drawing.chosen >= 0 && nodes.some(([index]) => index === drawing.chosen)) choose(drawing.chosen);
      recount();
    })];
    return () => {
      stop.forEach((end) => end());
      removeEventListener('madang:theme', retheme);
      dark.removeEventListener('change', retheme);
      watch.disconnect();
      recount.cancel();
      drawing.stop();
    };
  },
};
