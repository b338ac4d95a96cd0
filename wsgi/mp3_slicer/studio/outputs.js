/**
 * The outputs: the URL of the clip or render, a command line, an HTML tag, a download.
 */

import { copyFrom } from './clipboard.js';
import { EFFECTS } from './state.js';
import { secondsText } from './times.js';

/** The path and query of the exact clip of a span. */
export function clipUrl(file, first, last) {
  return `/clips/${file.id}?t=${secondsText(first, file.rate)},${secondsText(last, file.rate)}`;
}

/** The path and query of the render that the state describes. */
export function renderUrl(file, spans, effects) {
  const parts = spans.map((span) => `t=${secondsText(span.first, file.rate)},${secondsText(span.last, file.rate)}`);
  for (const [name, usual] of Object.entries(EFFECTS)) {
    const value = effects[name];
    if (name === 'format' || name === 'join' || value === usual || (name === 'crossfade' && spans.length < 2)) continue;
    parts.push(`${name}=${value}`);
  }
  return `/renders/${file.id.replace(/\.mp3$/i, '')}.${effects.format}?${parts.join('&')}`;
}

/** Start the fields; {draw(url)} shows a URL in all its forms. */
export function createOutputs() {
  const [url, curl, tag, download, copied] = ['out-url', 'out-curl', 'out-tag', 'download', 'copied'].map((id) =>
    document.getElementById(id),
  );
  let timer = 0;
  for (const button of document.querySelectorAll('[data-copy]')) {
    const field = document.getElementById(button.dataset.copy);
    button.setAttribute('aria-label', `Copy ${button.previousElementSibling.previousElementSibling.textContent}`);
    button.addEventListener('click', async () => {
      const worked = await copyFrom(field);
      copied.textContent = worked ? 'Copied.' : 'Press Ctrl+C to copy what is marked.';
      if (worked) button.focus();
      clearTimeout(timer);
      timer = setTimeout(() => { copied.textContent = ''; }, 3000);
    });
    field.addEventListener('focus', () => field.select());
  }
  return {
    draw(path) {
      // Nothing in it may end the quotes around it.
      const whole = (location.origin + path).replaceAll("'", '%27').replaceAll('"', '%22');
      url.value = whole;
      curl.value = `curl -OJ '${whole}&download'`;
      tag.value = `<audio controls src="${whole.replaceAll('&', '&amp;')}"></audio>`;
      download.href = `${path}&download`;
    },
  };
}
