/**
 * The search through everything that is said: results as you type, each a moment to hear, and to open as a span.
 *
 * The server is asked for the beginning of the word that is being typed, so that results come before it is complete.
 */

import { json } from './api.js';
import { makeRoom, picture } from './covers.js';
import { roughClock } from './times.js';

/** Milliseconds between the last key and the question. */
const PAUSE = 100;
const PAGE = 20;
/** Letters of a word whose beginning is searched for, at least: shorter ones begin too many. */
const LEAST = 2;

const $ = (id) => document.getElementById(id);

/** Start the search; {offer(shown)} shows its field. */
export function createSearch() {
  const [box, field, status, list, more] = ['moments', 'said', 'moments-state', 'moments-list', 'moments-more'].map($);
  const audio = $('moment-audio');
  let running = null;
  let timer = 0;
  let next = null;
  let sounding = null;

  /** Ask for results: the first ones of what is typed, or those that follow. */
  async function ask(url) {
    running?.abort();
    const { signal } = (running = new AbortController());
    try {
      const found = await json(url, signal);
      if (signal.aborted) return;
      draw(found, url === next);
    } catch (error) {
      if (error.name === 'AbortError') return;
      clear(error.message);
    }
  }

  function draw(found, following) {
    const made = found.results.map(entry);
    if (following) list.append(...made);
    else list.replaceChildren(...made);
    if (following) made[0]?.querySelector('a').focus();
    makeRoom(list);
    next = found.next;
    more.hidden = !next;
    const files = `${found.files}${found.more ? '+' : ''}`;
    status.textContent = found.files
      ? `Found in ${files} ${files === '1' ? 'file' : 'files'}`
      : 'Nothing is found. Try fewer words, or a part of one, like *light*.';
    if (!performance.getEntriesByName('studio-found').length) performance.mark('studio-found');
  }

  function clear(text = '') {
    running?.abort();
    hush();
    list.replaceChildren();
    next = null;
    more.hidden = true;
    status.textContent = text;
  }

  function entry({ path, title, info, clip, cover, moment }) {
    const item = document.createElement('li');
    const link = document.createElement('a');
    const file = info.slice('/info/'.length);
    const span = clip?.split('?t=')[1];
    link.href = `#file=${file}${span ? `&t=${span}` : ''}`;
    const head = Object.assign(document.createElement('span'), { className: 'name', textContent: title || path });
    link.append(head);
    const about = Object.assign(document.createElement('span'), { className: 'quiet' });
    const parts = [moment && roughClock(moment.start * 1000, 1000, 0), moment?.speaker, title && path];
    about.textContent = parts.filter(Boolean).join(' · ');
    if (about.textContent) link.append(about);
    picture(link, { cover });
    item.append(link);
    if (moment) {
      const said = Object.assign(document.createElement('span'), { className: 'said' });
      said.append(...moment.words.map(({ text, hit }) => (hit ? marked(text) : text)));
      link.append(said);
    }
    // Some moments have no clip.
    if (moment && clip) {
      const play = Object.assign(document.createElement('button'), { type: 'button', textContent: 'Play' });
      play.setAttribute('aria-label', `Play ${title || path} at ${roughClock(moment.start * 1000, 1000, 0)}`);
      play.addEventListener('click', () => toggle(play, clip));
      item.append(play);
    }
    return item;
  }

  /** Play a moment, or stop it. */
  async function toggle(button, clip) {
    const same = sounding === button;
    hush();
    if (same) return;
    sounding = button;
    button.textContent = 'Stop';
    audio.src = clip;
    try {
      await audio.play();
    } catch (error) {
      // AbortError: another moment took its place.
      if (error.name !== 'AbortError' && sounding === button) {
        hush();
        status.textContent = 'This moment cannot be played. Open it to see why.';
      }
    }
  }

  function hush() {
    audio.pause();
    audio.removeAttribute('src');
    if (sounding) sounding.textContent = 'Play';
    sounding = null;
  }

  function search() {
    const query = queryOf(field.value);
    if (query) ask(`/search?q=${encodeURIComponent(query)}&limit=${PAGE}`);
    else clear();
  }

  audio.addEventListener('ended', hush);
  field.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(search, PAUSE);
  });
  field.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown') list.querySelector('a')?.focus();
    else if (event.key === 'Escape' && field.value) {
      field.value = '';
      clear();
    } else return;
    event.preventDefault();
  });
  list.addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    event.preventDefault();
    const links = [...list.querySelectorAll('a')];
    const at = links.indexOf(event.target.closest('li')?.querySelector('a')) + (event.key === 'ArrowDown' ? 1 : -1);
    (links[at] ?? (at < 0 ? field : links.at(-1))).focus();
  });
  list.addEventListener('click', (event) => {
    if (!event.target.closest('a')) return;
    // What is opened is what is looked at now.
    clear();
    field.value = '';
  });
  more.addEventListener('click', () => ask(next));
  box.addEventListener('submit', (event) => {
    event.preventDefault();
    clearTimeout(timer);
    search();
  });

  return {
    /** Show the field, where the server has something to search. */
    offer(shown) { box.hidden = !shown; },
  };
}

function marked(text) {
  return Object.assign(document.createElement('mark'), { textContent: text });
}

/** What is asked for: the last word may still be typed, unless it is quoted. Empty where nothing can be searched for. */
export function queryOf(text) {
  const query = text.trim();
  const letters = /[\p{L}\p{N}]/u;
  if (!letters.test(query)) return '';
  const last = query.split(/\s/).at(-1);
  const open = (query.match(/"/g) ?? []).length % 2;
  if (open || !/^[\p{L}\p{N}\p{M}]+$/u.test(last) || [...last].length < LEAST) return query;
  return `${query}*`;
}
