// One job: its life on a line, why it waits and what would start it, what it holds, its output, what can be done to it.
import { calm, get, getText, list, live, send } from '../api.js';
import { gpuTime, memory, moment, num, relative, span, t } from '../i18n/index.js';
import { timeline } from '../parts/chart.js';
import { attempt, ask } from '../parts/dialog.js';
import { h, put } from '../parts/dom.js';
import { jobNumber } from '../parts/job-table.js';
import { logView } from '../parts/log.js';
import { isOver, provenance, reasonText, stateMark, tone } from '../parts/state.js';
import { facts } from '../parts/table.js';
import { titles } from '../parts/titles.js';
import { sitesList, whySection } from '../parts/why.js';

/** Who may do what to it: members of its project, and operators. The server decides; this only hides what it refuses. */
const mayAct = (me, job) => me.role === 'operator' || me.role === 'admin' || me.projects.includes(job.project);

/** Every attempt, over or not, oldest first. */
function attemptsOf(job, now) {
  const past = (job.runs ?? []).map((run) => ({
    from: run.started_ms ?? run.sent_ms,
    until: run.ended_ms,
    state: run.state,
    attempt: run.attempt,
    nodes: run.nodes,
    exit: run.exit,
    signal: run.signal,
  }));
  const known = past.some((run) => run.attempt === job.attempts);
  if (job.started_ms && !known) {
    past.push({
      from: job.started_ms,
      until: isOver(job.state) ? (job.ends_ms ?? now) : Math.max(now, job.started_ms),
      state: job.state,
      attempt: Math.max(1, job.attempts),
      nodes: job.node_list,
      exit: job.exit,
      signal: job.signal,
      open: !isOver(job.state),
    });
  }
  return past;
}

function lifeLine(job, now) {
  const attempts = attemptsOf(job, now);
  const first = attempts[0]?.from ?? (isOver(job.state) ? job.ends_ms : now) ?? now;
  const spans = [];
  const eligible = Math.min(job.eligible_ms ?? (job.state === 'PENDING' ? first : job.submitted_ms), first);
  if (eligible > job.submitted_ms)
    spans.push({ from: job.submitted_ms, until: eligible, tone: 'mute', text: t('job.not_yet') });
  let at = eligible;
  for (const run of attempts) {
    if (run.from > at) spans.push({ from: at, until: run.from, tone: 'wait', text: t('job.waited') });
    spans.push({
      from: run.from,
      until: run.until,
      tone: tone(run.state),
      text:
        attempts.length > 1
          ? t('job.attempt_is', { n: run.attempt, state: t(`job.${run.state}`) })
          : t(`job.${run.state}`),
    });
    at = run.until;
  }
  const end = isOver(job.state) ? (job.ends_ms ?? at) : now;
  const idle = job.state === 'PENDING' || (isOver(job.state) && !attempts.length);
  if (idle && end > at)
    spans.push({ from: at, until: end, tone: 'wait', text: t(job.state === 'PENDING' ? 'job.waits' : 'job.waited') });
  if (!isOver(job.state) && job.started_ms && job.ends_ms > now)
    spans.push({ from: now, until: job.ends_ms, tone: 'ahead', text: t('job.until_limit'), open: true });
  const marks = [];
  if (job.state === 'PENDING' && job.promised_ms)
    marks.push({ at: job.promised_ms, text: t('job.promised'), kind: 'promise' });
  return timeline({ label: t('job.timeline'), begin: job.submitted_ms, spans, marks, now });
}

const step = (word, ms, more) =>
  ms &&
  h(
    'li',
    h('span', word),
    h('time', { datetime: new Date(ms).toISOString() }, moment(ms, true)),
    more && h('small', more),
  );

function moments(job, now) {
  const attempts = attemptsOf(job, now);
  return h(
    'ol.moments',
    step(t('job.submitted'), job.submitted_ms),
    step(t('job.begin'), job.begin_ms),
    step(t('job.eligible'), job.eligible_ms),
    attempts.flatMap((run) => [
      step(attempts.length > 1 ? t('job.started_n', { n: run.attempt }) : t('job.started'), run.from, run.nodes),
      !run.open &&
        step(
          attempts.length > 1 ? t('job.ended_n', { n: run.attempt }) : t('job.ended'),
          run.until,
          [t(`job.${run.state}`), ending(run), t('queue.ran', { span: span((run.until - run.from) / 1000) })]
            .filter(Boolean)
            .join(' · '),
        ),
    ]),
    job.state === 'PENDING' &&
      step(t('job.promised'), job.promised_ms, job.promised_ms && relative(job.promised_ms, now)),
    !isOver(job.state) && step(t('job.limit_ends'), job.ends_ms, job.ends_ms && relative(job.ends_ms, now)),
    isOver(job.state) && !attempts.length && step(t(`job.${job.state}`), job.ends_ms),
  );
}

const ending = (run) =>
  run.signal ? t('queue.signal', { n: run.signal }) : run.exit ? t('queue.exit', { n: run.exit }) : '';

function gpus(one) {
  if (one.gpu_profile) return t('job.gpu_slice', { name: one.gpu_profile });
  if (one.gpu_milli) return t('job.gpu_share', { n: String(one.gpu_milli / 1000) });
  return one.gpus ? t('job.gpus_each', { n: one.gpus, model: (one.gpu_model ?? '').toUpperCase() }) : null;
}

const part = (one, index, all) =>
  h(
    'li',
    all.length > 1 && h('b', t('job.part', { n: index + 1 }), ' '),
    [
      t('queue.nodes', { n: one.nodes }),
      gpus(one),
      t('job.cpus_each', { n: one.cpus }),
      one.memory_mib ? t('job.memory_each', { n: memory(one.memory_mib) }) : t('job.memory_all'),
      one.tasks > 1 ? t('job.tasks', { n: one.tasks }) : null,
      one.exclusive ? t('job.exclusive') : null,
      ...one.features,
    ]
      .filter(Boolean)
      .join(' · '),
  );

/** What is held of a device that is not held whole. */
function piece(slot) {
  if (slot.memory_slices?.length) return [' ', t('job.gpu_cut', { list: slot.memory_slices.join(', ') })];
  return slot.gpu_milli ? [' ', t('job.gpu_part', { n: String(slot.gpu_milli / 1000) })] : [];
}

function held(job) {
  if (!job.slots?.length) return null;
  const slots = job.slots.slice(0, 64);
  return h(
    'section.card',
    h('h2', t(isOver(job.state) ? 'job.held_last' : 'job.holds')),
    h(
      'ul.slots',
      slots.map((slot) =>
        h(
          'li',
          h('b', slot.node),
          slot.devices.length ? h('span', t('job.devices', { list: slot.devices.join(', ') }), ...piece(slot)) : null,
          h('small', t('job.slot', { n: slot.cpus, memory: memory(slot.memory_mib) })),
        ),
      ),
    ),
    job.slots.length > slots.length && h('p.fine', t('job.more_nodes', { n: job.slots.length - slots.length })),
  );
}

function details(job, named) {
  return h(
    'section.card',
    h('h2', t('job.asked')),
    h('ul.plain', job.parts.map(part)),
    facts([
      [t('queue.project'), h('a', { href: `#/projects/${encodeURIComponent(job.project)}` }, job.project)],
      [t('queue.user'), job.user],
      [t('job.owner'), named.owner(job.owner)],
      [t('queue.partition'), job.partition],
      [t('queue.site'), job.site && named.site(job.site)],
      [t('queue.sites'), job.site && job.sites?.length > 0 ? sitesList(job.sites) : null],
      [t('job.qos'), t(`qos.${job.qos}`)],
      [t('queue.limit'), span(job.limit_secs)],
      [t('job.limit_min'), job.limit_min_secs ? span(job.limit_min_secs) : null],
      [t('job.deadline'), job.deadline_ms ? moment(job.deadline_ms) : null],
      [t('job.most'), job.gpu_milli ? gpuTime(job.gpu_milli * job.limit_secs * 1e3) : null],
      [t('job.elastic'), size(job.elastic)],
      [t('job.nice'), job.nice ? num(job.nice) : null],
      [t('job.requeue'), t(job.requeue ? 'job.requeue_yes' : 'job.requeue_no')],
      [t('job.dependency'), job.dependency && h('code', job.dependency)],
      [t('job.node_list'), job.node_list && h('code', job.node_list)],
      [t('job.cwd'), job.cwd && h('code', job.cwd)],
      [t('job.comment'), job.comment],
    ]),
  );
}

/** How likely a fault of the fleet stops it, and how often it should write a checkpoint. */
function stops(job) {
  const told = job.stops;
  if (!told) return null;
  const cost = t(told.checkpoint_cost_known ? 'job.stops_cost_said' : 'job.stops_cost_assumed', {
    span: span(told.checkpoint_cost_secs),
  });
  const needed = told.checkpoint_every_secs < job.limit_secs;
  const every = needed ? span(told.checkpoint_every_secs) : t('job.stops_not_needed');
  return h(
    'section.card',
    { id: 'stops' },
    h('h2', t('job.stops')),
    facts([
      [t('job.stops_chance'), t('job.percent', { n: num(told.chance_per_mille / 10) })],
      [t('job.stops_mean'), span(told.mean_secs)],
      [t('job.stops_every'), `${every} · ${cost}`],
      [
        t('job.stops_declared'),
        told.declared_every_secs ? span(told.declared_every_secs) : t('job.stops_none_declared'),
      ],
      [t('job.stops_last'), told.last_checkpoint_ms ? moment(told.last_checkpoint_ms) : null],
    ]),
    h(
      'p.fine',
      t('job.stops_from', {
        hours: num(told.gpu_hours_between),
        seen: num(told.seen),
        served: num(told.gpu_hours_served),
      }),
    ),
  );
}

/** How its size may differ and did, for a gang that is elastic or has gone on with other nodes. */
function size(elastic) {
  if (!elastic) return null;
  const { least_nodes: least, most_nodes: most, restart_secs: restart, resized, from_nodes: from } = elastic;
  const words = [most > least ? t('job.elastic_range', { least, most }) : t('job.elastic_fixed', { n: least })];
  if (restart !== undefined && restart !== null) words.push(t('job.elastic_resizes'));
  if (resized > 0) words.push(t('job.elastic_resized', { n: resized, from }));
  if (elastic.kept_secs > 0) words.push(t('job.elastic_kept', { span: span(elastic.kept_secs) }));
  return words.join(' · ');
}

/** The buttons: only what can be done in this state. */
function actions(job, reload) {
  const id = job.id;
  const act = (word, key, method, path, danger) =>
    h(
      'button',
      {
        type: 'button',
        class: danger ? 'danger' : null,
        'data-act': key,
        onclick: async () => {
          const sure = await ask({
            title: t(`${key}.ask`, { id: jobNumber(job) }),
            text: t(`${key}.text`),
            yes: word,
            danger,
          });
          if (
            sure &&
            (await attempt(() => send(method, `/jobs/${id}${path}`), t(`${key}.done`, { id: jobNumber(job) })))
          )
            reload();
        },
      },
      word,
    );
  if (isOver(job.state)) return null;
  return h(
    'div.row',
    job.state === 'PENDING' &&
      (job.held ? act(t('job.release'), 'release', 'POST', '/release') : act(t('job.hold'), 'hold', 'POST', '/hold')),
    job.state === 'RUNNING' && act(t('job.requeue_now'), 'requeue', 'POST', '/requeue', true),
    act(t('job.cancel'), 'cancel', 'DELETE', '', true),
  );
}

function script(job, signal) {
  const text = h('pre.script', { tabindex: 0 });
  let read = false;
  return h(
    'details.card',
    {
      ontoggle: async (event) => {
        if (!event.target.open || read) return;
        read = true;
        try {
          text.textContent = await getText(`/jobs/${job.id}/script`, signal);
        } catch (problem) {
          text.textContent = problem.detail || t('problem.offline');
          read = false;
        }
      },
    },
    h('summary', t('job.script')),
    text,
  );
}

const optional = async (asking) => {
  try {
    return await asking;
  } catch (problem) {
    if (problem.name === 'AbortError') throw problem;
    return null;
  }
};

const heading = (job, sites) =>
  h(
    'div',
    h('p.eyebrow', h('a', { href: '#/queue' }, t('nav.queue')), ' › ', t('job.id', { id: jobNumber(job) })),
    h('h1', job.name || t('job.id', { id: jobNumber(job) })),
    h(
      'p.row',
      stateMark(job.state),
      job.held ? h('span.chip.wait', t('job.held')) : null,
      provenance({
        modelled: job.modelled,
        pretend: job.gpus > 0 && sites.find((site) => site.name === (job.site ?? job.partition))?.pretend,
      }),
      job.state !== 'PENDING' && job.reason && job.reason !== 'None'
        ? h('span', { title: job.reason_text }, reasonText(job))
        : null,
    ),
  );

/** Why it waits, asked only while it does; null when it does not. */
async function asWhy(job, path, signal) {
  if (job.state !== 'PENDING') return null;
  const [why, when] = await Promise.all([
    optional(get(`${path}/why`, {}, signal)),
    optional(get(`${path}/when`, {}, signal)),
  ]);
  return why && whySection(job, why, when);
}

export default {
  title: ([id]) => t('job.id', { id }),
  async render(main, { params: [id], me, signal }) {
    const path = `/jobs/${encodeURIComponent(id)}`;
    const [first, sites, named] = await Promise.all([
      get(path, { full: true }, signal),
      optional(list('/sites', {}, signal)),
      titles(),
    ]);
    const head = h('header.head');
    const life = h('section.card', { 'aria-label': t('job.timeline') });
    const why = h('div');
    const more = h('div.two');
    const mine = mayAct(me, first);
    const log = mine && !first.modelled ? logView(first, signal) : null;
    let job = first;
    let line = null;
    const draw = async () => {
      const now = Date.now();
      if (!head.contains(document.activeElement)) put(head, heading(job, sites ?? []), mine && actions(job, changed));
      line?.end();
      line = lifeLine(job, now);
      put(life, line.element, moments(job, now));
      put(more, details(job, named), held(job), stops(job));
      put(why, await asWhy(job, path, signal));
    };
    const reread = async () => {
      try {
        job = await get(path, { full: true }, signal);
        await draw();
        log?.changed(job);
      } catch {
        /* the live mark says it */
      }
    };
    const changed = () => {
      document.activeElement?.blur();
      reread();
    };
    await draw();
    put(main, head, life, why, log?.element, more, log && script(job, signal));
    const soon = calm(reread, 600);
    const clock = setInterval(() => {
      if (!isOver(job.state) && !document.hidden) soon();
    }, 15000);
    const stop = [
      live.on('job', (event) => {
        if (event.id === job.id) soon();
      }),
      live.on('resync', soon),
    ];
    return () => {
      stop.forEach((end) => end());
      soon.cancel();
      clearInterval(clock);
      line?.end();
      log?.end();
    };
  },
};
