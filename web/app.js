// The shell: who is asking, which page, the frame around it. Pages live in pages/ and know nothing of each other.
//
// A page is `{ title, render(main, context) }`; `render` fills `main`, awaits its data and may answer a function that
// ends what it started (listeners, timers). The router marks `<main data-page=… data-ready="true">` once it is done.
import { get, live, send, Problem } from './api.js';
import { LANGUAGES, language, setLanguage, t } from './i18n/index.js';
import { announce, h, put } from './parts/dom.js';
import { failure } from './parts/state.js';

const PAGES = {
  overview: () => import('./pages/overview.js'),
  floor: () => import('./pages/floor.js'),
  queue: () => import('./pages/queue.js'),
  job: () => import('./pages/job.js'),
  projects: () => import('./pages/projects.js'),
  project: () => import('./pages/project.js'),
  statement: () => import('./pages/statement.js'),
  nodes: () => import('./pages/nodes.js'),
  signin: () => import('./pages/signin.js'),
  missing: () => import('./pages/missing.js'),
};
const ROUTES = [
  [/^\/?$/, 'overview'],
  [/^\/floor$/, 'floor'],
  [/^\/queue$/, 'queue'],
  [/^\/jobs\/([^/]+)$/, 'job'],
  [/^\/projects$/, 'projects'],
  [/^\/projects\/([^/]+)$/, 'project'],
  [/^\/projects\/([^/]+)\/statement$/, 'statement'],
  [/^\/nodes$/, 'nodes'],
];
const NAV = [
  ['overview', '#/'],
  ['floor', '#/floor'],
  ['queue', '#/queue'],
  ['projects', '#/projects'],
  ['nodes', '#/nodes'],
];
const PARENT = { job: 'queue', project: 'projects', statement: 'projects' };

const main = document.getElementById('main');
let me = null;
let current = null; // { abort, end, path } of the page shown
let turn = 0;

/** The address after `#`: path parts decoded, and the query. */
function address() {
  const [path, query = ''] = location.hash.replace(/^#/, '').split('?');
  for (const [pattern, page] of ROUTES) {
    const found = path.match(pattern);
    if (!found) continue;
    try {
      return { page, path, params: found.slice(1).map(decodeURIComponent), query: new URLSearchParams(query) };
    } catch {
      break;
    }
  }
  return { page: 'missing', path, params: [], query: new URLSearchParams() };
}

/** Puts a query into the address without turning the page. */
function setQuery(values) {
  const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value));
  const path = location.hash.replace(/^#/, '').split('?')[0] || '/';
  history.replaceState(null, '', `#${path}${query.size ? `?${query}` : ''}`);
}

function leave() {
  for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close('no');
  current?.abort.abort();
  current?.end?.();
  current = null;
}

async function show({ keepFocus } = {}) {
  leave();
  const mine = (turn += 1);
  const where = me ? address() : { page: 'signin', path: '', params: [], query: new URLSearchParams() };
  const abort = new AbortController();
  current = { abort, path: where.path };
  main.dataset.page = where.page;
  main.dataset.ready = 'false';
  main.setAttribute('aria-busy', 'true');
  frame(where.page);
  put(main, h('div.loading', h('span.spinner', { 'aria-hidden': 'true' }), t('state.loading')));
  try {
    const { default: page } = await PAGES[where.page]();
    if (mine !== turn) return;
    const title = page.title(where.params);
    document.title = `${title} · ${t('app.name')}`;
    const body = h(`div.page.page-${where.page}`);
    const end = await page.render(body, {
      ...where,
      me,
      signal: abort.signal,
      setQuery,
      reload: () => show({ keepFocus: true }),
      show: () => put(main, body),
      problem: signedInWith,
    });
    if (mine !== turn) {
      end?.();
      return;
    }
    current.end = end;
    if (body.parentNode !== main) put(main, body);
    if (!keepFocus) {
      main.focus({ preventScroll: true });
      scrollTo(0, 0);
      announce(title);
    }
  } catch (error) {
    if (mine !== turn || error.name === 'AbortError') return;
    if (!(error instanceof Problem)) console.error(error);
    put(
      main,
      failure(error, () => show()),
    );
  }
  main.dataset.ready = 'true';
  main.removeAttribute('aria-busy');
}

// ---- the frame --------------------------------------------------------------------------------------------------

function liveMark() {
  const mark = h('span.live', { role: 'status' });
  const turned = (state) => {
    mark.dataset.state = state;
    put(mark, h('span.live-dot', { 'aria-hidden': 'true' }), t(`live.${state}`));
    mark.title = t(`live.${state}.more`);
  };
  live.listeners.get('state')?.clear();
  live.on('state', turned);
  turned(live.state);
  return mark;
}

const THEMES = ['auto', 'light', 'dark'];
function themeButton() {
  const now = document.documentElement.dataset.theme || 'auto';
  const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
  const button = h(
    'button.quiet',
    {
      type: 'button',
      title: t('theme.switch', { next: t(`theme.${next}`) }),
      'aria-label': `${t('theme.label')}: ${t(`theme.${now}`)}`,
    },
    h('span', { 'aria-hidden': 'true' }, { auto: '◐', light: '○', dark: '●' }[now]),
  );
  button.addEventListener('click', () => {
    if (next === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem('madang.theme', next);
    } catch {
      /* not remembered, then */
    }
    const fresh = themeButton();
    button.replaceWith(fresh);
    fresh.focus();
    dispatchEvent(new CustomEvent('madang:theme'));
  });
  return button;
}

function languageSwitch() {
  return h(
    'div.languages',
    { role: 'group', 'aria-label': t('lang.label') },
    LANGUAGES.map(([code, name]) =>
      h(
        'button.quiet',
        {
          type: 'button',
          lang: code,
          'data-lang': code,
          'aria-label': name,
          'aria-pressed': String(code === language()),
          onclick: () => {
            setLanguage(code);
            show({ keepFocus: true });
          },
        },
        h('span.wide', name),
        h('span.narrow', { 'aria-hidden': 'true' }, code === 'ko' ? '한' : code.toUpperCase()),
      ),
    ),
  );
}

async function signOut() {
  try {
    await send('DELETE', '/session');
  } catch {
    /* signed out either way */
  }
  signedOut();
}

function frame(page) {
  const here = PARENT[page] ?? page;
  const nav =
    me &&
    h(
      'nav',
      { 'aria-label': t('nav.label') },
      h(
        'ul',
        NAV.map(([name, href]) =>
          h(
            'li',
            h(
              'a',
              { href, 'aria-current': name === here ? (name === page ? 'page' : 'true') : null },
              t(`nav.${name}`),
            ),
          ),
        ),
      ),
    );
  document.getElementById('skip').textContent = t('app.skip');
  put(
    document.getElementById('top'),
    h(
      'a.wordmark',
      { href: '#/', title: t('app.home') },
      h('span.mark', { 'aria-hidden': 'true' }),
      h('b', { lang: 'ko' }, '마당'),
      h('span.latin', 'Madang'),
    ),
    nav,
    h(
      'div.tools',
      me && liveMark(),
      languageSwitch(),
      themeButton(),
      me &&
        h(
          'details.who',
          h('summary', { 'aria-label': t('who.label', { name: me.name }) }, me.name),
          h(
            'div.menu',
            h('p', h('b', me.name), h('br'), t(`role.${me.role}`)),
            h('button', { type: 'button', onclick: signOut }, t('who.out')),
          ),
        ),
    ),
  );
  put(document.getElementById('foot'), h('p', t('app.foot')));
}

// ---- sign-in ----------------------------------------------------------------------------------------------------

/** The problem with a spent sign-in link, for the sign-in page to show. */
let signedInWith = null;

function signedOut() {
  if (!me) return;
  me = null;
  live.stop();
  show();
}

/** Swaps the code in the address for a session, and takes it out of the address either way. */
async function redeem() {
  const code = new URLSearchParams(location.search).get('code');
  if (location.search || location.pathname !== '/') history.replaceState(null, '', `/${location.hash}`);
  if (!code) return;
  try {
    await send('POST', '/session', { code });
  } catch (problem) {
    signedInWith = problem;
  }
}

async function start() {
  put(main, h('div.loading', h('span.spinner', { 'aria-hidden': 'true' }), t('state.loading')));
  await redeem();
  try {
    me = await get('/me');
    signedInWith = null;
  } catch (problem) {
    if (problem.status !== 401) {
      frame('signin');
      main.dataset.page = 'error';
      put(main, failure(problem, start));
      main.dataset.ready = 'true';
      return;
    }
  }
  if (me) live.start();
  await show();
}

addEventListener('hashchange', () => show());
addEventListener('madang:signed-out', signedOut);
document.addEventListener('click', (event) => {
  for (const menu of document.querySelectorAll('details.who[open]'))
    if (!menu.contains(event.target)) menu.open = false;
});
document.getElementById('skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});
start();
