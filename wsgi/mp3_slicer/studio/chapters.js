/**
 * The chapters of the open file: a list that makes spans of them, and marks for the ruler.
 */

import { json } from './api.js';
import { roughClock } from './times.js';
import { stemOf } from './transcript.js';

const $ = (id) => document.getElementById(id);

/** {open(file), close(), starts()}; `onRead()` is called when the chapters are there. */
export function createChapters(edits, view, onRead) {
  const list = $('chapters-list');
  let chapters = [];
  let running = null;

  function close() {
    running?.abort();
    chapters = [];
    list.replaceChildren();
    $('chapters').hidden = true;
  }

  return {
    close,
    /** Their starts, in seconds. */
    starts: () => chapters.map((chapter) => chapter.startTime),
    async open(file) {
      close();
      if (!file.chapters) return;
      const { signal } = (running = new AbortController());
      try {
        ({ chapters } = await json(`/chapters/${stemOf(file)}.json`, signal));
      } catch {
        // They are an addition: without them everything works.
        return;
      }
      if (signal.aborted) return;
      list.replaceChildren(...chapters.map((chapter, number) => {
        const item = document.createElement('li');
        const button = Object.assign(document.createElement('button'), { type: 'button', className: 'choose' });
        button.textContent = `${roughClock(chapter.startTime, 1, 0)} ${chapter.title || `Chapter ${number + 1}`}`;
        button.addEventListener('click', () => {
          const first = Math.min(file.samples - 1, Math.round(chapter.startTime * file.rate));
          const last = Math.min(file.samples, Math.round((chapter.endTime ?? file.seconds) * file.rate));
          edits.make(first, Math.max(first + 1, last));
          view.reveal();
        });
        item.append(button);
        return item;
      }));
      $('chapters').hidden = false;
      onRead();
    },
  };
}
