// Words, numbers and dates in the reader's language. `t('queue.title')` looks a word up, `{n}` in it is filled from
// the second argument; a word with `one`/`other` forms is chosen by Intl.PluralRules on `n`.
// Invariant: en.js and ko.js have the same keys; a missing word shows its key, never nothing.
import en from './en.js';
import ko from './ko.js';

/** Languages on offer: code and own name. To add one, write its dictionary and name it here. */
export const LANGUAGES = [
  ['en', 'English'],
  ['ko', '한국어'],
];
const DICTIONARIES = { en, ko };
const LOCALES = { en: 'en-GB', ko: 'ko-KR' };
let lang = document.documentElement.lang in DICTIONARIES ? document.documentElement.lang : 'en';
const cache = new Map();

/** The language in use. */
export const language = () => lang;

/** Switches and remembers. */
export function setLanguage(code) {
  lang = code in DICTIONARIES ? code : 'en';
  document.documentElement.lang = lang;
  cache.clear();
  try {
    localStorage.setItem('madang.lang', lang);
  } catch {
    /* not remembered, then */
  }
}

/** The word for `key`, with `{name}` filled in. */
export function t(key, values = {}) {
  let word = DICTIONARIES[lang][key] ?? en[key] ?? key;
  if (typeof word === 'object') word = word[intl('PluralRules', {}).select(Number(values.n))] ?? word.other;
  return word.replace(/\{(\w+)\}/g, (_, name) =>
    typeof values[name] === 'number' ? num(values[name]) : (values[name] ?? ''),
  );
}

/** The word for `key`, or `otherwise` when there is none. */
export const tOr = (key, otherwise) => DICTIONARIES[lang][key] ?? otherwise;

/** Of an object with `field` and `field_ko`, the text in the reader's language. */
export const own = (object, field) => (lang === 'ko' && object[`${field}_ko`]) || object[field];

function intl(kind, options) {
  const key = kind + JSON.stringify(options);
  if (!cache.has(key)) cache.set(key, new Intl[kind](LOCALES[lang], options));
  return cache.get(key);
}

/** A number with separators. */
export const num = (value, digits = 0) => intl('NumberFormat', { maximumFractionDigits: digits }).format(value);

/** A number made short: 12.3K, 1.2만. */
export const short = (value) => intl('NumberFormat', { notation: 'compact', maximumFractionDigits: 1 }).format(value);

/** A figure of an axis: short, and exact enough to tell small ones apart. */
export const tick = (value) =>
  Math.abs(value) < 10 ? intl('NumberFormat', { maximumSignificantDigits: 3 }).format(value) : short(value);

/** A share: 0.4213 is 42.1%. */
export const pct = (value, digits = 1) =>
  intl('NumberFormat', { style: 'percent', minimumFractionDigits: digits, maximumFractionDigits: digits }).format(
    value,
  );

/** Basis points as a share. */
export const bp = (value) => pct(value / 10000, value % 100 ? 1 : 0);

/** Money, whole won, exact. Takes BigInt too. */
export const won = (value) => t('unit.won', { n: intl('NumberFormat', {}).format(value) });

/** Money made short: 2 trillion won, 2조 원. */
export const wonShort = (value) =>
  t('unit.won_short', {
    n: intl('NumberFormat', {
      notation: 'compact',
      compactDisplay: 'long',
      maximumFractionDigits: 2,
      useGrouping: 'always',
    }).format(value),
  });

const GPU_HOUR = 3.6e9;

/** GPU time (micro-GPU-seconds) in GPU-hours, as a bare number. Takes BigInt too. */
export const gpuHours = (us, digits) => {
  const hours = Number(us) / GPU_HOUR;
  const size = Math.abs(hours);
  const needed = size === 0 ? 0 : size < 0.1 ? 5 : size < 10 ? 2 : size < 1000 ? 1 : 0;
  return num(hours, Math.max(digits ?? 0, needed));
};

/** GPU time in GPU-hours with its unit. */
export const gpuTime = (us) => t('unit.gpu_hours', { n: gpuHours(us) });

/** A moment: date and time to the minute; with seconds where `exact`. */
export const moment = (ms, exact) =>
  intl('DateTimeFormat', {
    year: 'numeric',
    month: 'short',
    day: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: exact ? '2-digit' : undefined,
    hourCycle: 'h23',
  }).format(ms);

/** A moment as short as it can be said: the time today, else the day and the time, the year only if another. */
export function brief(ms) {
  const [at, now] = [new Date(ms), new Date()];
  if (at.toDateString() === now.toDateString()) return clock(ms);
  return at.getFullYear() === now.getFullYear()
    ? intl('DateTimeFormat', {
        month: 'short',
        day: 'numeric',
        hour: '2-digit',
        minute: '2-digit',
        hourCycle: 'h23',
      }).format(ms)
    : moment(ms);
}

/** A day. */
export const day = (ms) => intl('DateTimeFormat', { year: 'numeric', month: 'short', day: 'numeric' }).format(ms);

/** A day without its year. */
export const monthDay = (ms) => intl('DateTimeFormat', { month: 'short', day: 'numeric' }).format(ms);

/** A month of a year. */
export const month = (ms) => intl('DateTimeFormat', { year: 'numeric', month: 'long' }).format(ms);

/** The time of day. */
export const clock = (ms, seconds) =>
  intl('DateTimeFormat', {
    hour: '2-digit',
    minute: '2-digit',
    second: seconds ? '2-digit' : undefined,
    hourCycle: 'h23',
  }).format(ms);

/** How long ago, or in how long, to the largest unit that matters. */
export function relative(ms, now = Date.now()) {
  const seconds = (ms - now) / 1000;
  const units = [
    ['day', 86400],
    ['hour', 3600],
    ['minute', 60],
  ];
  const [unit, size] = units.find(([, span]) => Math.abs(seconds) >= span) ?? ['second', 1];
  return intl('RelativeTimeFormat', { numeric: 'auto' }).format(Math.round(seconds / size), unit);
}

/** A length of time: its two largest units, 2d 4h. */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [
    [Math.floor(whole / 86400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return t('unit.s', { n: 0 });
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([n, unit]) => t(`unit.${unit}`, { n }))
    .join(' ');
}

/** Memory in MiB, made short. */
export const memory = (mib) =>
  mib >= 1048576 ? `${num(mib / 1048576, 1)} TiB` : mib >= 1024 ? `${num(mib / 1024, 1)} GiB` : `${num(mib)} MiB`;
