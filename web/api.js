// Talks to the server: JSON requests, problem documents as errors, one shared stream of events that reconnects.
// Every request is same-origin with the session cookie; nothing here knows a page.

const ROOT = '/api/v1';

/** A failure as the server states it (RFC 9457), or the network's. `code` is stable; `detail` is for people. */
export class Problem extends Error {
  constructor({ status = 0, code = 'offline', detail = '', hint = '' } = {}) {
    super(detail || code);
    Object.assign(this, { status, code, detail, hint });
  }
}

async function problemOf(reply) {
  let body = {};
  try {
    body = await reply.json();
  } catch {
    /* not a problem document; the status must do */
  }
  return new Problem({
    status: reply.status,
    code: body.code || `http_${reply.status}`,
    detail: body.detail || reply.statusText,
    hint: body.hint || '',
  });
}

async function request(method, path, { query, body, signal } = {}) {
  const url = new URL(ROOT + path, location.origin);
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== '') url.searchParams.set(key, value);
  }
  const headers = { Accept: 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let reply;
  try {
    reply = await fetch(url, {
      method,
      headers,
      signal,
      credentials: 'same-origin',
      cache: 'no-store',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem();
  }
  if (reply.ok) return reply;
  const problem = await problemOf(reply);
  if (problem.status === 401 && path !== '/session') dispatchEvent(new CustomEvent('madang:signed-out'));
  throw problem;
}

/** GET, parsed. */
export async function get(path, query, signal) {
  return (await request('GET', path, { query, signal })).json();
}

/** GET as text (scripts). A JSON string or `{script}` is unwrapped. */
export async function getText(path, signal) {
  const reply = await request('GET', path, { signal });
  const text = await reply.text();
  if (!(reply.headers.get('content-type') || '').includes('json')) return text;
  const value = JSON.parse(text);
  return typeof value === 'string' ? value : (value.script ?? text);
}

/** GET with every `*_gpu_us` and `*_won`-like integer kept exact as a BigInt: statements are money. */
export async function getExact(path, query, signal) {
  const text = await (await request('GET', path, { query, signal })).text();
  // Inside a JSON string a quote is written \" so that this pattern only ever meets real keys.
  const exact = text.replace(/"(\w+_gpu_us|won)":\s*(-?\d+)/g, '"$1":"$2"');
  return JSON.parse(exact, (key, value) => (key.endsWith('_gpu_us') || key === 'won' ? BigInt(value) : value));
}

/** An unsafe method. Answers the parsed reply, or null where there is none. */
export async function send(method, path, body, signal) {
  const text = await (await request(method, path, { body, signal })).text();
  return text ? JSON.parse(text) : null;
}

/** A list whole, whether the server pages it or not, up to `most` objects. */
export async function list(path, query = {}, signal, most = 20000) {
  const items = [];
  for (let after; ;) {
    const page = await get(path, after ? { ...query, after } : query, signal);
    if (Array.isArray(page)) return page;
    items.push(...page.items);
    after = page.next;
    if (!after || items.length >= most) return items;
  }
}

/** One page of a list: `{items, next}`. */
export async function page(path, query, signal) {
  const reply = await get(path, query, signal);
  return Array.isArray(reply) ? { items: reply } : reply;
}

// ---- live events ------------------------------------------------------------------------------------------------

const KINDS = ['job', 'nodes', 'pulse'];

/**
 * The stream of events, shared by all pages. `on(kind, fn)` answers a function that stops listening; `state` is
 * `connecting`, `live` or `offline`. After a gap every listener of `resync` is called: what was missed must be read
 * anew.
 */
export const live = {
  state: 'off',
  listeners: new Map(),
  on(kind, fn) {
    if (!this.listeners.has(kind)) this.listeners.set(kind, new Set());
    this.listeners.get(kind).add(fn);
    return () => this.listeners.get(kind).delete(fn);
  },
  emit(kind, data) {
    for (const fn of this.listeners.get(kind) ?? []) fn(data);
  },
  turn(state) {
    if (this.state === state) return;
    this.state = state;
    this.emit('state', state);
  },
  start() {
    if (this.source) return;
    this.wait = 500;
    this.seen = false;
    this.open();
    addEventListener('online', () => this.source || !this.timer || this.retry(0));
  },
  stop() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.source?.close();
    this.source = null;
    this.turn('off');
  },
  open() {
    this.turn('connecting');
    const source = new EventSource(`${ROOT}/events`);
    this.source = source;
    source.onopen = () => {
      this.wait = 500;
      this.turn('live');
      if (this.seen) this.emit('resync');
      this.seen = true;
    };
    source.onerror = () => {
      source.close();
      if (this.source !== source) return;
      this.source = null;
      this.turn('offline');
      this.retry(this.wait);
      this.wait = Math.min(this.wait * 2, 15000);
    };
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => this.emit(kind, JSON.parse(event.data)));
    }
  },
  retry(wait) {
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      // An EventSource hides the status; one plain request tells a lost session from a lost server.
      try {
        await get('/me');
      } catch (problem) {
        if (problem.status === 401) return this.stop();
        this.wait = Math.min(this.wait * 2, 15000);
        return this.retry(this.wait);
      }
      this.open();
    }, wait);
  },
};

/** Calls `fn` at most once in `ms`, at the end of the span: what a burst of events does to a page. */
export function calm(fn, ms) {
  let timer = 0;
  const run = () => {
    timer ||= setTimeout(() => {
      timer = 0;
      fn();
    }, ms);
  };
  run.cancel = () => {
    clearTimeout(timer);
    timer = 0;
  };
  return run;
}
