// For whoever has no session: what the console is, and how to get a link into it.
import { t } from '../i18n/index.js';
import { h, put } from '../parts/dom.js';

export default {
  title: () => t('signin.title'),
  async render(main, { problem }) {
    const copy = h(
      'button',
      {
        type: 'button',
        onclick: async () => {
          try {
            await navigator.clipboard.writeText('madang signin');
            copy.textContent = t('signin.copied');
          } catch {
            getSelection().selectAllChildren(command);
          }
        },
      },
      t('signin.copy'),
    );
    const command = h('code', 'madang signin');
    put(
      main,
      h(
        'section.welcome',
        h('p.courtyard', { 'aria-hidden': 'true' }),
        h('h1', t('signin.title')),
        h('p.lead', t('signin.lead')),
        problem &&
          h(
            'div.notice.bad',
            { role: 'alert' },
            h('p', h('b', t('signin.spent'))),
            h('p', { lang: 'en' }, problem.detail || t('problem.offline')),
          ),
        h(
          'ol.steps',
          h('li', h('p', t('signin.step1')), h('div.command', command, copy)),
          h('li', h('p', t('signin.step2'))),
        ),
        h('p.fine', t('signin.fine')),
      ),
    );
  },
};
