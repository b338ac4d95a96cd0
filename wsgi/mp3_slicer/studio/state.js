/**
 * The state of the page, in one object and in the URL's hash, so that a reload or a link shows the same page.
 *
 * #file=talks/show.mp3&t=3000,3010&t=3020,3030&span=1&view=2990,3040&at=3000&kind=render&format=ogg&fade=0.5,1
 *
 * Positions are samples; the window is in seconds.
 */

import { parsePair, parseTime, sampleAt, secondsText } from './times.js';

/** The effects of a render, by option, with the value that has none. */
export const EFFECTS = {
  format: 'mp3', bitrate: '', fade: '', gain: '', normalize: '', speed: '', channels: '', rate: '', trim: '', join: '', crossfade: '',
};
/** Shortest window, in seconds. */
export const LEAST_VIEW = 0.02;
const WRITE_EVERY = 250;
/** Spans that a URL may bring; and the form of an effect's value, so that a link cannot bring anything else into the copied URL. */
const MOST_SPANS = 200;
const VALUE = /^[a-z0-9.,:-]{1,24}$/i;

/** The state, with functions that change it or listen to changes. */
export function createState() {
  const listeners = [];
  const changed = new Set();
  let timer = 0;
  let written = location.hash;
  let held = false;
  const state = {
    /** The source: {id, path, rate, samples, seconds, frame, …}; `id` is its path as it stands in URLs. */
    file: null,
    /** {key, first, last} each: samples first..last-1. */
    spans: [],
    /** The key of the selected span. */
    selected: null,
    /** The edge that keys move: first or last. */
    edge: 'first',
    view: { start: 0, end: 0 },
    cursor: 0,
    kind: 'clip',
    effects: { ...EFFECTS },
    loop: false,
  };

  /** Change some of it; listeners are called once, before the next frame is drawn. */
  function set(values) {
    if (values.file) held = false;
    Object.assign(state, values);
    if (!changed.size) requestAnimationFrame(tell);
    for (const name of Object.keys(values)) changed.add(name);
  }

  function tell() {
    const names = new Set(changed);
    changed.clear();
    for (const listener of listeners) listener(names);
    clearTimeout(timer);
    timer = setTimeout(write, WRITE_EVERY);
  }

  /** Write the URL. Browsers allow only so many changes a minute, so it is done after a pause. */
  function write() {
    clearTimeout(timer);
    // A link that was just followed is in the URL before the page hears of it.
    if (held || !state.file || location.hash !== written) return;
    const hash = format(state);
    if (hash === written) return;
    history.replaceState(null, '', hash || location.pathname);
    written = location.hash;
  }

  return {
    get: state,
    set,
    listen: (listener) => listeners.push(listener),
    write,
    selected: () => state.spans.find((span) => span.key === state.selected) || null,
    /** Change the window, kept inside the file. */
    look(start, end) {
      const { seconds } = state.file;
      const width = Math.min(seconds, Math.max(LEAST_VIEW, end - start));
      const from = Math.max(0, Math.min(seconds - width, start));
      set({ view: { start: from, end: from + width } });
    },
    /** Return whether a link or the Back button changed the URL. */
    foreign: () => location.hash !== written,
    /** Take the URL as that of the current state. */
    adopt() { written = location.hash; },
    /** Keep the URL until another file is open: it names that file already, and a reload opens it. */
    hold() { held = true; },
  };
}

/** The hash of a state. */
function format(state) {
  const { file, spans, selected, view, cursor, kind, effects, loop } = state;
  if (!file) return '';
  const parts = [`file=${file.id}`];
  const time = (sample) => secondsText(sample, file.rate);
  for (const span of spans) parts.push(`t=${time(span.first)},${time(span.last)}`);
  const place = spans.findIndex((span) => span.key === selected);
  if (place > 0) parts.push(`span=${place + 1}`);
  if (view.start > 0 || view.end < file.seconds) parts.push(`view=${round(view.start)},${round(view.end)}`);
  if (cursor) parts.push(`at=${time(cursor)}`);
  if (loop) parts.push('loop=1');
  if (kind !== 'clip') parts.push(`kind=${kind}`);
  for (const [name, usual] of Object.entries(EFFECTS)) {
    if (effects[name] !== usual) parts.push(`${name}=${encodeURIComponent(effects[name]).replaceAll('%2C', ',').replaceAll('%3A', ':')}`);
  }
  return `#${parts.join('&')}`;
}

/** Parse a hash, before the file is known: {file, fill}; `fill(file)` returns the rest as values for `set`. */
export function parse(hash) {
  const pairs = hash.replace(/^#/, '').split('&').map((part) => [part.split('=', 1)[0], part.slice(part.indexOf('=') + 1)]);
  const one = (name) => pairs.find(([key]) => key === name)?.[1] ?? '';
  return {
    file: one('file'),
    fill(file) {
      const spans = [];
      for (const [name, text] of pairs) {
        if (name !== 't' || spans.length === MOST_SPANS) continue;
        const pair = attempt(() => parsePair(decode(text)));
        if (!pair) continue;
        const [first, last] = pair.map((time) => Math.min(file.samples, sampleAt(time, file.rate)));
        if (first < last) spans.push({ key: `s${spans.length + 1}`, first, last });
      }
      const view = one('view').split(',').map(Number);
      const given = view.length === 2 && view.every(Number.isFinite) && view[0] < view[1];
      const at = attempt(() => parseTime(one('at')));
      const place = Number(one('span') || 1) - 1;
      const effects = Object.fromEntries(
        Object.entries(EFFECTS).map(([name, usual]) => [name, VALUE.test(decode(one(name))) ? decode(one(name)) : usual]),
      );
      return {
        spans,
        selected: (spans[place] || spans[0])?.key ?? null,
        view: given ? { start: view[0], end: view[1] } : null,
        cursor: at ? Math.min(file.samples, sampleAt(at, file.rate)) : 0,
        kind: one('kind') === 'render' ? 'render' : 'clip',
        effects,
        loop: one('loop') === '1',
      };
    },
  };
}

function round(seconds) {
  return String(Math.round(seconds * 1e4) / 1e4);
}

function decode(text) {
  return attempt(() => decodeURIComponent(text)) ?? '';
}

function attempt(work) {
  try {
    return work();
  } catch {
    return null;
  }
}
