/**
 * A file's waveform by zoom level: one level for the whole file, and tiles for windows that are too narrow for it. Of a long file a coarse
 * level is drawn first, until the exact ones are there.
 *
 * Tiles lie at multiples of their length, so that scrolling and zooming ask for the same ones again, and caches have them. A window is
 * drawn at once from whatever is there; what is missing is fetched, and what is no longer wanted is not waited for.
 */

import { ask } from './api.js';

const WHOLE_PIXELS = 20_000;
const COARSE_PIXELS = 1000;
/** Seconds of a file whose exact waveform takes long enough for a coarse one before it. */
const COARSE_FROM = 120;
/** Seconds of a file whose exact waveform is fetched in parts, so that several processes of the server draw it, and their number. */
const PARTS_FROM = 600;
const PARTS = 16;
const TILE_PIXELS = 2048;
/** Lengths of tiles, in seconds, from coarse to fine. */
const TILE_SECONDS = [1024, 256, 64, 16, 4, 1, 0.125];
/** Tiles that are kept: 4 KB each. */
const KEPT = 400;
/** Tiles that are fetched at a time: the server has few processes for this. */
const AT_ONCE = 2;
/** Parts that are fetched at a time: one for each process of the server that draws them, as the page says. */
const PARTS_AT_ONCE = Number(document.querySelector('meta[name=renders]').content) || 1;
/** Milliseconds that a window stands still before tiles are fetched for it. */
const STILL = 60;
/** How much of the height the highest value of the file takes, and how much a quiet file is enlarged at most. */
const FILL = 0.94;
const MOST_SCALE = 12;
/** Seconds that are better drawn as a job, where the server has a queue. */
const JOB_FROM = 1200;
/** In front of the values in audiowaveform's format. */
const HEADER_BYTES = 24;

/**
 * The waveform of a file: {id, rate, samples, seconds}. `onData` is called when there is more to draw, `onState` with what goes on:
 * {state: 'ready' | 'asking' | 'waiting' | 'queued' | 'running' | 'failed', progress?, seconds?, error?}.
 */
export function createPeaks(file, { onData, onState }) {
  const base = `/peaks/${file.id.replace(/\.mp3$/i, '')}.dat`;
  const tiles = new Map();
  const fetching = new Map();
  const stopped = new AbortController();
  let whole = null;
  let coarse = null;
  const parts = [];
  let wanted = [];
  let timer = 0;
  let refused = false;
  let scale = 1 / 128;

  (async () => {
    try {
      if (file.seconds >= COARSE_FROM) await drawCoarse();
      whole = await (file.seconds < PARTS_FROM ? fetchWhole('', onState) : drawParts());
      parts.length = 0;
      scale = scaleFor(whole.values);
      onState({ state: 'ready' });
      onData();
    } catch (error) {
      if (error.name === 'AbortError') return;
      refused = error.status === 404 || error.status === 501;
      onState({ state: 'failed', error });
    }
  })();

  /** The exact waveform of the file, or what `part` names of it. */
  function fetchWhole(part, tell) {
    const seconds = part ? file.seconds / PARTS : file.seconds;
    return fetchLevel(`t=0&pixels=${WHOLE_PIXELS}&bits=8${part}`, 0, stopped.signal, tell, seconds >= JOB_FROM);
  }

  /** Fetch the parts side by side, draw each as it comes, and put them together. The first failure ends it. */
  async function drawParts() {
    const zoom = Math.max(2, Math.ceil(file.samples / WHOLE_PIXELS));
    const pixels = Math.ceil(file.samples / zoom);
    let next = 0;
    let done = 0;
    const fetchOthers = async () => {
      while (next < PARTS) {
        const number = next;
        next += 1;
        const part = await fetchWhole(`&part=${number + 1}`, ({ progress, ...told }) =>
          onState({ ...told, progress: (done + (progress ?? 0)) / PARTS }));
        done += 1;
        parts[number] = { ...part, first: Math.floor((pixels * number) / PARTS) * part.zoom };
        onState({ state: 'running', progress: done / PARTS });
        onData();
      }
    };
    try {
      await Promise.all(Array.from({ length: Math.min(PARTS, PARTS_AT_ONCE) }, fetchOthers));
    } catch (error) {
      next = PARTS;
      throw error;
    }
    const values = new Int8Array(parts.reduce((sum, part) => sum + part.values.length, 0));
    let offset = 0;
    for (const part of parts) {
      values.set(part.values, offset);
      offset += part.values.length;
    }
    return { first: 0, zoom: parts[0].zoom, values };
  }

  /** Without it, the exact waveform only comes with nothing before it. */
  async function drawCoarse() {
    try {
      coarse = await fetchLevel(`t=0&pixels=${COARSE_PIXELS}&bits=8&coarse=1`, 0, stopped.signal, onState);
      scale = scaleFor(coarse.values);
      onData();
    } catch (error) {
      if (error.name === 'AbortError' || error.status === 404 || error.status === 501) throw error;
    }
  }

  async function fetchLevel(query, first, signal, tell, background = false) {
    const response = await ask(`${base}?${query}`, { signal, tell, background, goesOn: true });
    const data = await response.arrayBuffer();
    const view = new DataView(data);
    return { first, zoom: view.getInt32(12, true), values: new Int8Array(data, HEADER_BYTES) };
  }

  /** The length of tiles for a window of `columns`; 0 where the whole-file level is fine enough. */
  function lengthFor(start, end, columns) {
    const perColumn = ((end - start) * file.rate) / columns;
    if (whole && whole.zoom <= perColumn) return 0;
    // As long as the whole is not there, a tile as long as the file would do its work twice.
    const fits = TILE_SECONDS.filter((seconds) => seconds < file.seconds * 2);
    return fits.find((seconds) => (seconds * file.rate) / TILE_PIXELS <= perColumn) ?? fits.at(-1) ?? 0;
  }

  function keysFor(start, end, columns) {
    const length = lengthFor(start, end, columns);
    if (!length) return [];
    const keys = [];
    for (let at = Math.floor(start / length); at * length < Math.min(end, file.seconds); at += 1) keys.push(`${length}:${at}`);
    return keys;
  }

  function pump() {
    for (const [key, controller] of fetching) if (!wanted.includes(key)) controller.abort();
    for (const key of wanted) {
      if (fetching.size >= AT_ONCE) break;
      if (!tiles.has(key) && !fetching.has(key)) load(key);
    }
  }

  async function load(key) {
    const [length, at] = key.split(':').map(Number);
    const controller = new AbortController();
    fetching.set(key, controller);
    const start = at * length;
    const end = Math.min(start + length, file.seconds);
    try {
      const text = start + length < file.seconds ? `t=${start},${start + length}` : `t=${start}`;
      // Less than a pixel's worth of samples at the end of the file is in the coarser levels.
      if ((end - start) * file.rate >= 2) {
        const level = await fetchLevel(`${text}&pixels=${TILE_PIXELS}&bits=8`, Math.round(start * file.rate), controller.signal, () => {});
        tiles.set(key, level);
        if (tiles.size > KEPT) tiles.delete(tiles.keys().next().value);
        onData();
      }
    } catch (error) {
      // What has failed is asked for again when the window moves; the coarser picture stays.
      if (error.name !== 'AbortError' && (error.status === 404 || error.status === 501)) refused = true;
    }
    fetching.delete(key);
    wanted = wanted.filter((other) => other !== key || tiles.has(key));
    if (!stopped.signal.aborted) pump();
  }

  return {
    /** Fetch what a window needs, once it stands still. */
    want(start, end, columns) {
      if (refused) return;
      const keys = keysFor(start, end, columns);
      clearTimeout(timer);
      for (const key of keys) {
        const tile = tiles.get(key);
        if (tile) {
          // Used last, thrown away last.
          tiles.delete(key);
          tiles.set(key, tile);
        }
      }
      timer = setTimeout(() => { wanted = keys; pump(); }, STILL);
    },
    /**
     * How far the waveform reaches up and down from the middle in each of the columns of a window, 0 to 1, where the file's highest value
     * is near 1: {top, bottom}, Float32Array each; null where nothing is known of it.
     */
    read(start, end, columns) {
      const top = new Float32Array(columns);
      const bottom = new Float32Array(columns);
      const perColumn = ((end - start) * file.rate) / columns;
      const from = start * file.rate;
      let any = false;
      const level = whole ?? coarse;
      if (level) {
        paint(level, from, perColumn, columns, scale, top, bottom);
        any = true;
      }
      for (const part of parts) if (part) paint(part, from, perColumn, columns, scale, top, bottom);
      const finest = lengthFor(start, end, columns);
      for (const length of TILE_SECONDS) {
        if (length < finest || !finest) break;
        for (let at = Math.floor(start / length); at * length < end; at += 1) {
          const tile = tiles.get(`${length}:${at}`);
          if (!tile || (whole && tile.zoom >= whole.zoom)) continue;
          paint(tile, from, perColumn, columns, scale, top, bottom);
          any = true;
        }
      }
      return any ? { top, bottom } : null;
    },
    close() {
      clearTimeout(timer);
      stopped.abort();
      wanted = [];
      for (const controller of fetching.values()) controller.abort();
    },
  };
}

/** What brings a file's highest value near to the edge, so that quiet files can be read too. */
function scaleFor(values) {
  let highest = 1;
  for (const value of values) highest = Math.max(highest, Math.abs(value));
  return Math.min(FILL / highest, MOST_SCALE / 128);
}

/** Draw a level into the columns that it covers. */
function paint(level, from, perColumn, columns, scale, top, bottom) {
  const { first, zoom, values } = level;
  const pixels = values.length / 2;
  const begin = Math.max(0, Math.ceil((first - from) / perColumn));
  const end = Math.min(columns, Math.floor((first + pixels * zoom - from) / perColumn) + 1);
  for (let column = begin; column < end; column += 1) {
    const start = Math.floor((from + column * perColumn - first) / zoom);
    const stop = Math.min(pixels, Math.max(start + 1, Math.ceil((from + (column + 1) * perColumn - first) / zoom)));
    if (start >= pixels) break;
    let low = 127;
    let high = -128;
    for (let at = Math.max(0, start); at < stop; at += 1) {
      if (values[2 * at] < low) low = values[2 * at];
      if (values[2 * at + 1] > high) high = values[2 * at + 1];
    }
    top[column] = Math.min(1, Math.max(0, high) * scale);
    bottom[column] = Math.min(1, Math.max(0, -low) * scale);
  }
}
