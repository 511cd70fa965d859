// A budget of GPU time: granted = free + held + spent, as a bar and in words.
import { gpuHours, gpuTime, pct, t } from '../i18n/index.js';
import { bar, key } from './bar.js';
import { h } from './dom.js';

/** The bar alone, for lists. */
export function budgetBar(one) {
  const words = t('budget.words', {
    granted: gpuHours(one.granted_gpu_us),
    spent: gpuHours(one.spent_gpu_us),
    held: gpuHours(one.held_gpu_us),
    free: gpuHours(one.free_gpu_us),
  });
  return bar(
    [
      { value: one.spent_gpu_us, tone: 'spent', text: t('budget.spent') },
      { value: one.held_gpu_us, tone: 'heldb', text: t('budget.held') },
    ],
    one.granted_gpu_us,
    words,
  );
}

/** Bar, legend and the share spent. */
export const budget = (one) =>
  h(
    'div.budget',
    h('p.big', h('b', gpuHours(one.free_gpu_us)), h('small', t('budget.free_of', { n: gpuHours(one.granted_gpu_us) }))),
    budgetBar(one),
    key([
      {
        tone: 'spent',
        word: t('budget.spent'),
        text: `${gpuTime(one.spent_gpu_us)}${one.granted_gpu_us > 0 ? ` (${pct(one.spent_gpu_us / one.granted_gpu_us)})` : ''}`,
      },
      { tone: 'heldb', word: t('budget.held'), text: gpuTime(one.held_gpu_us) },
      { tone: 'free', word: t('budget.free'), text: gpuTime(one.free_gpu_us) },
    ]),
  );
