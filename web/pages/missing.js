// For an address that names no page.
import { t } from '../i18n/index.js';
import { h, put } from '../parts/dom.js';

export default {
  title: () => t('missing.title'),
  async render(main) {
    put(
      main,
      h(
        'section.notice',
        h('h1', t('missing.title')),
        h('p', t('missing.text')),
        h('p', h('a', { href: '#/' }, t('missing.home'))),
      ),
    );
  },
};
