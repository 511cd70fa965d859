// Sets theme and language on <html> before the first paint, from what the reader chose last. A classic script on
// purpose: modules run after the page is shown.
(() => {
  let stored = {};
  try {
    stored = { theme: localStorage.getItem('madang.theme'), lang: localStorage.getItem('madang.lang') };
  } catch {
    /* storage may be closed to us; the defaults serve */
  }
  const root = document.documentElement;
  if (stored.theme === 'light' || stored.theme === 'dark') root.dataset.theme = stored.theme;
  root.lang = stored.lang || ((navigator.language || 'en').startsWith('ko') ? 'ko' : 'en');
})();
