/**
 * The list of files: pages of the server's library, and a search through all of its names.
 *
 * The server lists names in order and can skip to those that begin with a text; a search for a part of a name reads page after page, and
 * keeps what it has read.
 */

import { json } from './api.js';
import { makeRoom, picture } from './covers.js';
import { lengthText } from './times.js';

const SHOWN = 40;
const FIRST = 100;
const NEXT = 1000;
/** Results of a search that are shown at most; there is no use in reading on. */
const FOUND = 400;

/** Start the list; {mark(id), toggle(shown)}. `onKnown(titles)` is told once whether the server knows titles, and so can search. */
export function createLibrary(onKnown) {
  const [list, search, status, back, on, where] = ['files', 'search', 'library-state', 'page-back', 'page-on', 'page-where'].map(
    (id) => document.getElementById(id),
  );
  let known = [];
  let next = `/library?limit=${FIRST}`;
  let page = 0;
  let chosen = '';
  let running = null;

  /** Read one more page of names from the server. */
  async function more(signal) {
    const url = next;
    const document_ = await json(url, signal);
    if (!known.length) onKnown(document_.sources.some((source) => source.duration !== undefined));
    known = known.concat(document_.sources.map((source) => ({ ...source, id: source.clips.slice('/clips/'.length) })));
    next = document_.next && document_.next.replace(/limit=\d+/, `limit=${NEXT}`);
  }

  /** Show the current page, reading what it needs. */
  async function show() {
    running?.abort();
    const { signal } = (running = new AbortController());
    const wanted = search.value.trim().toLowerCase();
    const fits = () => (wanted ? known.filter((source) => `${source.path} ${source.title ?? ''}`.toLowerCase().includes(wanted)) : known);
    try {
      let found = fits();
      draw(found, wanted);
      while (next && found.length < (page + 1) * SHOWN + 1 && found.length < FOUND) {
        status.textContent = known.length ? `Reading the library: ${known.length} names so far …` : 'Reading the library …';
        await more(signal);
        if (signal.aborted) return;
        found = fits();
        draw(found, wanted);
      }
      draw(found, wanted);
      status.textContent = words(found.length, wanted);
    } catch (error) {
      if (error.name === 'AbortError') return;
      status.textContent = `The library cannot be read. ${error.message} `;
      const again = document.createElement('button');
      again.type = 'button';
      again.textContent = 'Try again';
      again.addEventListener('click', show);
      status.append(again);
    }
  }

  function words(count, wanted) {
    if (!known.length) return 'There is no MP3 file in the server’s folder yet. Put some there, then reload this page.';
    const all = next ? `${count}+` : `${count}`;
    if (wanted) return count ? `${all} of ${known.length}${next ? '+' : ''} files` : `No file’s name holds “${search.value.trim()}”.`;
    return `${all} ${count === 1 ? 'file' : 'files'}`;
  }

  function draw(found, wanted) {
    const most = Math.max(0, Math.ceil(found.length / SHOWN) - 1);
    page = Math.min(page, most);
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
    list.replaceChildren(...found.slice(page * SHOWN, (page + 1) * SHOWN).map((source) => entry(source, wanted)));
    makeRoom(list);
    if (focused) list.querySelector(`[data-id="${CSS.escape(focused)}"]`)?.focus();
    back.disabled = page === 0;
    on.disabled = page >= most && !next;
    document.getElementById('pages').hidden = back.disabled && on.disabled;
    where.textContent = found.length > SHOWN || page ? `${page * SHOWN + 1}–${Math.min(found.length, (page + 1) * SHOWN)}` : '';
  }

  function entry(source) {
    const item = document.createElement('li');
    const link = document.createElement('a');
    link.href = `#file=${source.id}`;
    link.dataset.id = source.id;
    if (source.id === chosen) link.setAttribute('aria-current', 'true');
    const at = source.path.lastIndexOf('/') + 1;
    const name = document.createElement('span');
    name.className = 'name';
    name.textContent = source.title || source.path.slice(at);
    link.append(name);
    const about = document.createElement('span');
    about.className = 'quiet';
    about.textContent = [
      source.title ? source.path : source.path.slice(0, at), source.duration ? lengthText(source.duration) : sizeText(source.size),
    ].filter(Boolean).join(' · ');
    link.append(about);
    picture(link, source);
    item.append(link);
    return item;
  }

  let timer = 0;
  search.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(() => { page = 0; show(); }, 120);
  });
  back.addEventListener('click', () => { page -= 1; show(); });
  on.addEventListener('click', () => { page += 1; show(); });
  show();

  const toggle = document.getElementById('library-toggle');
  const open = (shown) => {
    document.body.classList.toggle('no-library', !shown);
    toggle.setAttribute('aria-expanded', String(shown));
  };
  toggle.addEventListener('click', () => open(document.body.classList.contains('no-library')));
  return {
    /** Show or hide the list. */
    toggle: open,
    /** Show which file is open. */
    mark(id) {
      chosen = id;
      for (const link of list.querySelectorAll('a')) {
        if (link.dataset.id === id) link.setAttribute('aria-current', 'true');
        else link.removeAttribute('aria-current');
      }
    },
  };
}

function sizeText(bytes) {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`;
}
