// Charts in SVG: stacked areas over time, bars by day, a timeline of a job. Drawn to the width they get; a table of the
// same figures stands beside each for those who cannot see it.
import { clock, moment, monthDay, num, t, tick } from '../i18n/index.js';
import { h, put, s, uid } from './dom.js';

const STEPS = [1 / 12, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080, 20160]; // minutes
const PAD = { left: 48, right: 12, top: 10, bottom: 24 };

/** Round figures from 0 to a little above `most`. */
export function ticks(most, count = 4) {
  if (!(most > 0)) return [0, 1];
  const raw = most / count;
  const scale = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].find((factor) => factor * scale >= raw) * scale;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, index) => index * step);
}

/** Calls `draw(width)` now and whenever the width of `element` changes. Answers a function that stops. */
function onWidth(element, draw) {
  let last = 0;
  const watch = new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width && width !== last) {
      last = width;
      draw(width);
    }
  });
  watch.observe(element);
  return () => watch.disconnect();
}

function yAxis(marks, y, width) {
  return s(
    'g.axis',
    marks.map((value) => [
      s('line', { x1: PAD.left, x2: width - PAD.right, y1: y(value), y2: y(value) }),
      s('text', { x: PAD.left - 8, y: y(value) + 4, 'text-anchor': 'end' }, tick(value)),
    ]),
  );
}

function timeLabels(from, until, width) {
  const room = Math.max(1, Math.floor((width - PAD.left) / 90));
  const step =
    STEPS.find((minutes) => (until - from) / (minutes * 6e4) <= room) ??
    Math.ceil((until - from) / room / 864e5) * 1440;
  const size = step * 6e4;
  const shift = new Date(from).getTimezoneOffset() * 6e4; // labels fall on whole hours of the reader's clock
  const first = Math.ceil((from - shift) / size) * size + shift;
  const labels = [];
  for (let at = first; at <= until; at += size)
    labels.push({ at, text: step >= 1440 ? monthDay(at) : step < 1 ? clock(at, true) : clock(at) });
  return labels;
}

function xAxis(labels, x, height, width) {
  return s(
    'g.axis',
    labels.map(({ at, text }) => {
      const place = x(at);
      return s(
        'text',
        {
          x: place,
          y: height - 6,
          'text-anchor': place < PAD.left + 20 ? 'start' : place > width - PAD.right - 20 ? 'end' : 'middle',
        },
        text,
      );
    }),
  );
}

/** Follows the pointer and the arrow keys over `points`, and shows `tell(index)` beside them. */
function reader(figure, svg, { count, x, width, height, tell }) {
  const line = s('line.cursor', { y1: PAD.top, y2: height - PAD.bottom, visibility: 'hidden' });
  const box = h('div.chart-tip', { hidden: true });
  svg.append(line);
  figure.append(box);
  let at = count - 1;
  const show = (index) => {
    at = Math.max(0, Math.min(count - 1, index));
    const place = x(at);
    line.setAttribute('x1', place);
    line.setAttribute('x2', place);
    line.setAttribute('visibility', 'visible');
    put(box, tell(at));
    box.hidden = false;
    box.style.left = `${Math.max(0, Math.min(width - box.offsetWidth, place + (place > width / 2 ? -box.offsetWidth - 10 : 10)))}px`;
  };
  const hide = () => {
    line.setAttribute('visibility', 'hidden');
    box.hidden = true;
  };
  svg.addEventListener('pointermove', (event) => {
    const mouse = event.clientX - svg.getBoundingClientRect().left;
    let best = 0;
    for (let index = 1; index < count; index += 1)
      if (Math.abs(x(index) - mouse) < Math.abs(x(best) - mouse)) best = index;
    show(best);
  });
  svg.addEventListener('pointerleave', hide);
  svg.addEventListener('blur', hide);
  svg.addEventListener('focus', () => {
    if (svg.matches(':focus-visible')) show(at);
  });
  svg.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -count, End: count }[event.key];
    if (step) {
      event.preventDefault();
      show(at + step);
    }
  });
}

/**
 * Areas stacked over time. `points` are `[moment, [value per series]]`; `series` are `{word, tone}`; `limit` draws a
 * line, such as the capacity. Answers `{element, update(points), end()}`.
 */
export function stacked({ label, series, points, limit, height = 220 }) {
  const figure = h('figure.chart');
  let now = points;
  const draw = (width) => {
    if (now.length < 2) {
      put(figure, h('p.empty', t('chart.soon')));
      return;
    }
    const from = now[0][0];
    const until = now.at(-1)[0];
    const most = Math.max(1, limit ?? 0, ...now.map(([, values]) => values.reduce((sum, value) => sum + value, 0)));
    const marks = ticks(most);
    const x = (at) => PAD.left + ((at - from) / (until - from || 1)) * (width - PAD.left - PAD.right);
    const y = (value) => PAD.top + (1 - value / marks.at(-1)) * (height - PAD.top - PAD.bottom);
    const svg = s('svg', {
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: 'img',
      'aria-label': label,
      tabindex: 0,
    });
    svg.append(yAxis(marks, y, width), xAxis(timeLabels(from, until, width), x, height, width));
    const base = now.map(() => 0);
    series.forEach(({ tone }, index) => {
      const low = [...base];
      now.forEach(([, values], at) => {
        base[at] += values[index] ?? 0;
      });
      const top = now.map(([at], k) => `${x(at).toFixed(1)},${y(base[k]).toFixed(1)}`);
      const bottom = now.map(([at], k) => `${x(at).toFixed(1)},${y(low[k]).toFixed(1)}`).reverse();
      svg.append(
        s(`path.area.${tone}`, { d: `M${top.join('L')}L${bottom.join('L')}Z` }),
        s(`path.edge.${tone}`, { d: `M${top.join('L')}` }),
      );
    });
    if (limit) svg.append(s('line.limit', { x1: PAD.left, x2: width - PAD.right, y1: y(limit), y2: y(limit) }));
    put(figure, svg);
    reader(figure, svg, {
      count: now.length,
      x: (index) => x(now[index][0]),
      width,
      height,
      tell: (index) => [
        h('b', moment(now[index][0])),
        ...series.map(({ word, tone }, k) =>
          h('div', h(`span.swatch.${tone}`), word, ' ', h('b', num(now[index][1][k] ?? 0))),
        ),
      ],
    });
  };
  let width = 0;
  const end = onWidth(figure, (w) => {
    width = w;
    draw(w);
  });
  return {
    element: figure,
    end,
    update(fresh) {
      now = fresh;
      // Not while somebody reads it: the figures under the pointer would go.
      if (width && !figure.matches(':hover, :focus-within')) draw(width);
    },
  };
}

/** Bars by day. `points` are `[day's begin, value]`; `format` makes a value's text. */
export function bars({ label, points, format, height = 180 }) {
  const figure = h('figure.chart');
  const draw = (width) => {
    const marks = ticks(Math.max(...points.map(([, value]) => value)));
    const y = (value) => PAD.top + (1 - Math.max(0, value) / marks.at(-1)) * (height - PAD.top - PAD.bottom);
    const slots = Math.max(points.length, 14);
    const step = (width - PAD.left - PAD.right) / slots;
    const x = (index) => PAD.left + step * (slots - points.length + index);
    const svg = s('svg', {
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: 'img',
      'aria-label': label,
      tabindex: 0,
    });
    svg.append(yAxis(marks, y, width));
    points.forEach(([, value], index) =>
      svg.append(
        s('rect.burn', {
          x: x(index) + step * 0.12,
          width: Math.max(1, step * 0.76),
          y: y(value),
          height: Math.max(0, y(0) - y(value)),
          rx: Math.min(2, step / 4),
        }),
      ),
    );
    const every = Math.max(1, Math.ceil(70 / step));
    svg.append(
      s(
        'g.axis',
        points
          .map(
            ([at], index) =>
              (points.length - 1 - index) % every === 0 &&
              s(
                'text',
                {
                  x: x(index) + step / 2,
                  y: height - 6,
                  'text-anchor': index === points.length - 1 ? 'end' : 'middle',
                  dx: index === points.length - 1 ? step / 2 : 0,
                },
                monthDay(at),
              ),
          )
          .filter(Boolean),
      ),
    );
    put(figure, svg);
    reader(figure, svg, {
      count: points.length,
      x: (index) => x(index) + step / 2,
      width,
      height,
      tell: (index) => [h('b', monthDay(points[index][0])), h('div', format(points[index][1]))],
    });
  };
  return { element: figure, end: onWidth(figure, draw) };
}

/**
 * A job's life on one line from `begin`: `spans` are `{from, until, tone, text, open}`, `marks` are `{at, text, kind}`.
 * Its list of moments beside it says the same in words.
 */
export function timeline({ label, begin, spans, marks, now }) {
  const figure = h('figure.chart.timeline');
  const height = 76;
  const draw = (width) => {
    const moments = [begin, ...spans.flatMap(({ from, until }) => [from, until]), ...marks.map(({ at }) => at)];
    const from = Math.min(...moments);
    const until = Math.max(...moments, from + 1000);
    const x = (at) => 6 + ((at - from) / (until - from)) * (width - 12);
    const hatch = uid('hatch');
    const svg = s(
      'svg',
      { width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label },
      s(
        'defs',
        s(
          'pattern',
          { id: hatch, width: 6, height: 6, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' },
          s('line.hatch', { x1: 0, x2: 0, y1: 0, y2: 6 }),
        ),
      ),
    );
    svg.append(s('line.rail', { x1: 6, x2: width - 6, y1: 32, y2: 32 }));
    for (const { from: a, until: b, tone, text, open } of spans) {
      const wide = Math.max(2, x(b) - x(a));
      svg.append(s(`rect.span.${tone}`, { x: x(a), y: 21, width: wide, height: 22, rx: 3 }, s('title', text)));
      if (open)
        svg.append(
          s('rect', { x: x(a), y: 21, width: wide, height: 22, rx: 3, fill: `url(#${hatch})` }, s('title', text)),
        );
      if (wide > text.length * 9 + 12)
        svg.append(s(`text.in.${tone}`, { x: x(a) + wide / 2, y: 36.5, 'text-anchor': 'middle' }, text));
    }
    for (const { at, text, kind } of marks)
      svg.append(s(`line.mark.${kind}`, { x1: x(at), x2: x(at), y1: 14, y2: 50 }, s('title', text)));
    const sameDay = new Date(from).toDateString() === new Date(until).toDateString();
    const word = (at) => (sameDay ? clock(at, until - from < 36e5) : moment(at));
    svg.append(
      s(
        'g.axis',
        s('text', { x: 6, y: 70, 'text-anchor': 'start' }, word(from)),
        s('text', { x: width - 6, y: 70, 'text-anchor': 'end' }, word(until)),
      ),
    );
    if (now > from && now < until && x(now) > 150 && x(now) < width - 150) {
      svg.append(s('text.now', { x: x(now), y: 70, 'text-anchor': 'middle' }, t('chart.now')));
    }
    if (now >= from && now <= until) svg.append(s('line.mark.now', { x1: x(now), x2: x(now), y1: 10, y2: 54 }));
    put(figure, svg);
  };
  return { element: figure, end: onWidth(figure, draw) };
}
