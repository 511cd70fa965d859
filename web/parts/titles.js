// Titles of owners and sites, which other answers call by their short names.
import { list } from '../api.js';
import { own } from '../i18n/index.js';

let known = null;

async function read() {
  const [owners, sites] = await Promise.all([list('/owners'), list('/sites')]);
  const by = (items) => new Map(items.map((one) => [one.name, one]));
  return { owners: by(owners), sites: by(sites) };
}

/** `{ owner(name), site(name) }`: the title in the reader's language, or the name itself where there is none. */
export async function titles() {
  known ??= read().catch(() => (known = null));
  const found = await known;
  const of = (kind) => (name) => {
    const one = found?.[kind].get(name);
    return (one && own(one, 'title')) || name;
  };
  return { owner: of('owners'), site: of('sites') };
}
