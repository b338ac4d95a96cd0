/**
 * The studio: puts the parts together, and says what each action does.
 */

import { Refusal, json } from './api.js';
import { sizeOf } from './canvas.js';
import { createKeyboard } from './keyboard.js';
import { createLibrary } from './library.js';
import { dismiss, notice } from './notices.js';
import { clipUrl, createOutputs, renderUrl } from './outputs.js';
import { createOverview } from './overview.js';
import { createPeaks } from './peaks.js';
import { createPlayer } from './player.js';
import { createRenders } from './renders.js';
import { drawRuler } from './ruler.js';
import { createSpans } from './spans.js';
import { createState, parse } from './state.js';
import { clockText, lengthText, roughClock } from './times.js';
import { createRegions } from './regions.js';
import { columnsOf, drawWaveform } from './waveform.js';

/** Seconds: of a span that is made at the cursor, of what is played from the cursor, of a jump. */
const NEW_SPAN = 10;
const FROM_CURSOR = 600;
const JUMP = 5;
/** How much one step zooms, and which part of the window one page is. */
const ZOOM = 2;
const PAGE = 0.9;
const PHONE = matchMedia('(max-width: 760px)');

const $ = (id) => document.getElementById(id);
const state = createState();
const { get } = state;
const library = createLibrary();
const overview = createOverview(state);
const outputs = createOutputs();
const renders = createRenders(state);
let peaks = null;
let regions = null;
let opening = null;

// ------------------------------------------------------------------------------------------------------------------ spans

let keys = 0;
const act = {
  /** A new span, or the one that is as long as can be. */
  make(first, last) {
    keys += 1;
    const key = `n${keys}`;
    state.set({ spans: [...get.spans, { key, first, last }], selected: key, cursor: first });
  },
  add() {
    const length = Math.min(get.file.samples, Math.round(NEW_SPAN * get.file.rate));
    const first = Math.min(get.cursor, get.file.samples - length);
    act.make(first, first + length);
    act.reveal();
  },
  choose(key) {
    const span = get.spans.find((one) => one.key === key);
    state.set({ selected: key, cursor: span.first });
  },
  remove(key) {
    const at = get.spans.findIndex((span) => span.key === key);
    if (at < 0) return;
    const spans = get.spans.filter((span) => span.key !== key);
    state.set({ spans, selected: get.selected === key ? (spans[Math.min(at, spans.length - 1)]?.key ?? null) : get.selected });
  },
  change(key, first, last) {
    state.set({ spans: get.spans.map((span) => (span.key === key ? { key, first, last } : span)), selected: key });
  },
  /** Move an edge of the chosen span by samples or frames; the cursor where there is no span. */
  nudge(edge, unit, step) {
    const by = step * (unit === 'frame' ? get.file.frame : 1);
    const span = state.selected();
    if (!span) {
      state.set({ cursor: within(get.cursor + by, 0, get.file.samples) });
      return;
    }
    const first = edge === 'first' ? within(span.first + by, 0, span.last - 1) : span.first;
    const last = edge === 'last' ? within(span.last + by, span.first + 1, get.file.samples) : span.last;
    state.set({ edge });
    act.change(span.key, first, last);
  },
  /** Let an edge of the chosen span be at the cursor; a new span where there is none. */
  set(edge) {
    const span = state.selected();
    const { cursor, file } = get;
    if (!span) act.make(...(edge === 'first' ? [Math.min(cursor, file.samples - 1), file.samples] : [0, Math.max(1, cursor)]));
    else if (edge === 'first') act.change(span.key, Math.min(cursor, file.samples - 1), within(cursor + 1, span.last, file.samples));
    else act.change(span.key, Math.min(span.first, Math.max(0, cursor - 1)), Math.max(1, cursor));
    state.set({ edge, cursor });
  },
  step(by) {
    if (!get.spans.length) return;
    const at = get.spans.findIndex((span) => span.key === get.selected);
    act.choose(get.spans[(at + by + get.spans.length) % get.spans.length].key);
    act.reveal();
  },
  /** Have the chosen span in the window. */
  reveal() {
    const span = state.selected();
    if (!span) return;
    const [from, to] = [span.first / get.file.rate, span.last / get.file.rate];
    const { start, end } = get.view;
    if (from >= start && to <= end) return;
    const width = Math.max(end - start, (to - from) * 1.25);
    state.look((from + to - width) / 2, (from + to + width) / 2);
  },
  zoom(factor, around = null) {
    const { start, end } = get.view;
    const cursor = get.cursor / get.file.rate;
    const middle = around ?? (cursor >= start && cursor <= end ? cursor : (start + end) / 2);
    state.look(middle - (middle - start) * factor, middle + (end - middle) * factor);
  },
  zoomSpan() {
    const span = state.selected();
    if (!span) return;
    const [from, to] = [span.first / get.file.rate, span.last / get.file.rate];
    const room = (to - from) / 8;
    state.look(from - room, to + room);
  },
  zoomAll() { state.look(0, get.file.seconds); },
  pan(part) {
    const by = (get.view.end - get.view.start) * part;
    state.look(get.view.start + by, get.view.end + by);
  },
  play() {
    if (player.playing()) { player.stop(); return; }
    const span = state.selected();
    if (span) playClip(span.first, span.last, true);
    else act.playHere();
  },
  playHere() {
    const { cursor, file } = get;
    const first = cursor >= file.samples ? 0 : cursor;
    playClip(first, Math.min(file.samples, first + FROM_CURSOR * file.rate), false);
  },
  loop() { state.set({ loop: !get.loop }); },
};

function within(value, least, most) {
  return Math.max(least, Math.min(most, value));
}

// ----------------------------------------------------------------------------------------------------------------- playing

const player = createPlayer($('audio'), {
  onTime(sample) {
    state.set({ cursor: sample });
    const at = sample / get.file.rate;
    // The window turns over like a page when what is played leaves it.
    if (player.playing() && at > get.view.end && at < get.view.end + 1) act.pan(PAGE);
  },
  onState(playing) {
    $('play').textContent = playing ? 'Stop' : 'Play';
    document.body.classList.toggle('playing', playing);
  },
  onError: (text) => notice('player', `This cannot be played. ${text}`),
});

function playClip(first, last, loops) {
  dismiss('player');
  player.play({ url: clipUrl(get.file, first, last), first, last, rate: get.file.rate, loops, loop: loops && get.loop });
}

// ----------------------------------------------------------------------------------------------------------------- drawing

const spans = createSpans(state, act);

/** Draw the window's waveform from what is there, and have what is missing fetched. */
function drawWave() {
  const { start, end } = get.view;
  drawRuler($('ruler'), start, end);
  overview.place();
  const columns = columnsOf($('wave-canvas'));
  const read = peaks?.read(start, end, columns) ?? null;
  drawWaveform($('wave-canvas'), read);
  if (read && !performance.getEntriesByName('studio-drawn').length) performance.mark('studio-drawn');
  regions?.place();
  peaks?.want(start, end, columns);
}

function drawPlayhead() {
  const { view, cursor, file } = get;
  const at = (cursor / file.rate - view.start) / (view.end - view.start);
  $('playhead').hidden = at < 0 || at > 1;
  $('playhead').style.transform = `translateX(${at * sizeOf($('wave'))[0]}px)`;
  $('clock').value = roughClock(cursor, file.rate);
}

function drawOutputs() {
  const span = state.selected();
  $('take').hidden = !span;
  $('take-none').hidden = !!span;
  $('zoom-span').disabled = !span;
  if (!span) return;
  const many = get.effects.join === 'all' && get.spans.length > 1 ? get.spans : [span];
  const render = renderUrl(get.file, many, get.effects);
  outputs.draw(get.kind === 'render' ? render : clipUrl(get.file, span.first, span.last));
  renders.draw(render, many.reduce((sum, one) => sum + one.last - one.first, 0) / get.file.rate);
}

state.listen((names) => {
  if (!get.file) return;
  const some = (...wanted) => wanted.some((name) => names.has(name));
  if (some('file', 'view')) drawWave();
  else if (some('spans', 'selected')) regions?.place();
  if (some('file', 'spans', 'selected')) overview.draw(peaks);
  if (some('file', 'view', 'cursor')) drawPlayhead();
  if (some('file', 'spans', 'selected', 'edge')) spans.draw();
  if (some('file', 'spans', 'selected', 'kind', 'effects')) drawOutputs();
  if (some('file', 'loop')) {
    $('loop').setAttribute('aria-pressed', String(get.loop));
    if (player.clip()?.loops) player.loop(get.loop);
  }
});

function redraw() {
  if (!get.file) return;
  drawWave();
  overview.draw(peaks);
  drawPlayhead();
}
new ResizeObserver(() => requestAnimationFrame(redraw)).observe($('overview'));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => requestAnimationFrame(redraw));

// ---------------------------------------------------------------------------------------------------------------- the file

/** What is going on with the waveform, in words. */
function tellWave({ state: now, progress, seconds, error }) {
  const known = typeof progress === 'number' && now !== 'queued';
  const bar = $('wave-progress');
  bar.hidden = now === 'ready' || now === 'failed';
  if (known) bar.value = progress;
  else bar.removeAttribute('value');
  const percent = known ? `: ${Math.floor(progress * 100)} %` : '';
  const words = {
    ready: '',
    asking: $('wave-state').textContent || 'Reading the waveform …',
    waiting: `The waveform is being computed${percent}. Spans work already.`,
    queued: 'The waveform is queued: other work is done first. Spans work already.',
    running: `The waveform is being computed${percent}${seconds ? `, about ${Math.ceil(seconds)} s left` : ''}. Spans work already.`,
    failed: noWaveform(error),
  }[now];
  if ($('wave-state').textContent !== words) $('wave-state').textContent = words;
}

/** Why there is no waveform, in words. */
function noWaveform(error) {
  if (error?.kind === 'not-found') return 'The file is not there any more. Choose another one, or reload the page to try again.';
  if ([404, 501].includes(error?.status)) return 'This server draws no waveforms. Spans work all the same: drag, or type times.';
  return `There is no waveform. ${error?.message ?? ''} Spans work all the same; reload the page to try again.`;
}

/** Open what the URL names. */
async function open(hash) {
  const { file: id, fill } = parse(hash);
  state.adopt();
  if (get.file && get.file.id === id) {
    const { view, ...values } = fill(get.file);
    state.set(values);
    if (view) state.look(view.start, view.end);
    return;
  }
  state.hold();
  opening?.abort();
  const { signal } = (opening = new AbortController());
  dismiss('file');
  dismiss('player');
  player.clear();
  peaks?.close();
  peaks = null;
  regions?.clear();
  library.mark(id);
  if (!id) {
    get.file = null;
    $('desk').hidden = true;
    $('welcome').hidden = false;
    document.title = 'Slicer studio';
    return;
  }
  let info;
  try {
    info = await json(`/info/${id}`, signal);
    // A link may name what is no file here, but another of the server's documents.
    if (!info?.clips?.startsWith?.('/clips/')) {
      throw new Refusal(404, 'There is no file under this name. Choose one from the library.');
    }
  } catch (error) {
    if (error.name === 'AbortError') return;
    get.file = null;
    $('desk').hidden = true;
    $('welcome').hidden = false;
    notice('file', `The file cannot be opened. ${error.message}`, { action: 'Try again', onAction: () => open(location.hash) });
    return;
  }
  if (signal.aborted) return;
  // Its path as the server writes it, whatever the link looked like: this becomes part of what is copied and run elsewhere.
  const file = {
    ...info, id: info.clips.slice('/clips/'.length), rate: info.sample_rate, seconds: info.samples / info.sample_rate,
    frame: info.mpeg_version === '1' ? 1152 : 576,
  };
  const { view, ...values } = fill(file);
  state.set({ file, edge: 'first', ...values });
  state.look(view?.start ?? 0, view?.end ?? file.seconds);
  library.mark(file.id);
  show(file);
}

function show(file) {
  const name = file.path.slice(file.path.lastIndexOf('/') + 1);
  document.title = `${name} · Slicer studio`;
  $('file-name').textContent = file.path;
  $('file-facts').textContent = [
    lengthText(file.duration), `${file.rate / 1000} kHz`, file.channels === 1 ? 'mono' : 'stereo',
    `${file.bitrate_mode === 'constant' ? '' : 'about '}${Math.round(file.bitrate / 1000)} kbit/s`,
    `ends at ${clockText(file.samples, file.rate)}`,
  ].join(' · ');
  if (file.segments.length > 1) {
    notice(
      'segments',
      'In this file the sample rate or the channels change. A span must not reach across such a change; the server says where it is.',
    );
  } else {
    dismiss('segments');
  }
  $('welcome').hidden = true;
  $('desk').hidden = false;
  if (PHONE.matches) toggleLibrary(false);
  tellWave({ state: 'asking' });
  peaks = createPeaks(file, { onData: () => requestAnimationFrame(redraw), onState: tellWave });
  startRegions();
}

let starting = null;
/** The spans' layer is made when the first file is shown: its place has a size only then. */
function startRegions() {
  starting ??= createRegions($('wave'), state, {
    onMake: act.make,
    onChange: (key, first, last) => act.change(key, first, last),
    onSelect: (key) => state.set({ selected: key }),
    onPoint: (sample) => state.set({ cursor: sample }),
  }).then(
    (made) => { regions = made; redraw(); },
    () => notice(
      'regions',
      'Spans cannot be drawn with the mouse: a part of this page is missing. ' +
        'Reload the page to try again; times can be typed, and keys work.',
    ),
  );
  redraw();
}

// ----------------------------------------------------------------------------------------------------------- mouse and keys

$('wave').addEventListener('wheel', (event) => {
  if (!get.file) return;
  const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
  if (!sideways && !event.ctrlKey && !event.metaKey) return; // the page scrolls
  event.preventDefault();
  if (sideways) act.pan((event.deltaX || event.deltaY) / 1000);
  else {
    const { left, width } = $('wave').getBoundingClientRect();
    const { start, end } = get.view;
    act.zoom(1.0015 ** event.deltaY, start + ((event.clientX - left) / width) * (end - start));
  }
}, { passive: false });

for (const [id, action] of Object.entries({
  play: act.play, 'play-here': act.playHere, loop: act.loop, 'zoom-span': act.zoomSpan, 'zoom-all': act.zoomAll,
  'zoom-in': () => act.zoom(1 / ZOOM), 'zoom-out': () => act.zoom(ZOOM),
})) $(id).addEventListener('click', action);

function toggleLibrary(on) {
  document.body.classList.toggle('no-library', !on);
  $('library-toggle').setAttribute('aria-expanded', String(on));
}
$('library-toggle').addEventListener('click', () => toggleLibrary(document.body.classList.contains('no-library')));

// The hash holds the page's state, so a link inside the page cannot use it.
$('skip').addEventListener('click', (event) => {
  event.preventDefault();
  $('work').focus();
});

/** A key's action that needs a file. */
const need = (action) => (event) => { if (get.file) action(event); };
createKeyboard([
  { keys: [' '], show: ['Space'], label: 'play the chosen span, or stop', act: need(act.play) },
  { keys: ['p', 'P'], show: ['P'], label: 'play from the cursor', act: need(act.playHere) },
  { keys: ['j', 'J'], show: ['J'], label: `back ${JUMP} seconds`, act: need(() => player.skip(-JUMP)) },
  { keys: ['k', 'K'], show: ['K'], label: 'stop', act: need(() => player.stop()) },
  { keys: ['l', 'L'], show: ['L'], label: 'play; again: faster', act: need(() => (player.playing() ? player.faster() : act.play())) },
  { keys: ['r', 'R'], show: ['R'], label: 'loop on, off', act: need(act.loop) },
  { keys: ['i', 'I'], show: ['I'], label: 'start the span at the cursor', act: need(() => act.set('first')) },
  { keys: ['o', 'O'], show: ['O'], label: 'end the span at the cursor', act: need(() => act.set('last')) },
  { keys: ['n', 'N'], show: ['N'], label: `new span of ${NEW_SPAN} seconds at the cursor`, act: need(act.add) },
  { keys: ['s', 'S'], show: ['S'], label: 'arrows move the start', act: need(() => state.set({ edge: 'first' })) },
  { keys: ['e', 'E'], show: ['E'], label: 'arrows move the end', act: need(() => state.set({ edge: 'last' })) },
  {
    keys: ['ArrowLeft', 'ArrowRight'], show: ['←', '→'], shift: false,
    label: 'move that edge by a frame (about 26 ms); the cursor where there is no span',
    act: need((event) => act.nudge(get.edge, 'frame', event.key === 'ArrowLeft' ? -1 : 1)),
  },
  {
    keys: ['ArrowLeft', 'ArrowRight'], show: ['Shift ←', 'Shift →'], shift: true, label: 'by one sample',
    act: need((event) => act.nudge(get.edge, 'sample', event.key === 'ArrowLeft' ? -1 : 1)),
  },
  {
    keys: ['ArrowUp', 'ArrowDown'], show: ['↑', '↓'], label: 'choose another span',
    act: need((event) => act.step(event.key === 'ArrowUp' ? -1 : 1)),
  },
  { keys: ['Delete', 'Backspace'], show: ['Delete'], label: 'remove the chosen span', act: need(() => act.remove(get.selected)) },
  { keys: ['+', '='], show: ['+'], label: 'zoom in', act: need(() => act.zoom(1 / ZOOM)) },
  { keys: ['-', '_'], show: ['−'], label: 'zoom out', act: need(() => act.zoom(ZOOM)) },
  { keys: ['z', 'Z'], show: ['Z'], label: 'zoom to the span', act: need(act.zoomSpan) },
  { keys: ['0'], label: 'the whole file', act: need(act.zoomAll) },
  {
    keys: ['PageUp', 'PageDown'], show: ['Page ↑', 'Page ↓'], label: 'the part before, the part after',
    act: need((event) => act.pan(event.key === 'PageUp' ? -PAGE : PAGE)),
  },
  { keys: ['Home', 'End'], label: 'the file’s start, its end', act: need((event) => {
    const width = get.view.end - get.view.start;
    const home = event.key === 'Home';
    state.set({ cursor: home ? 0 : get.file.samples });
    state.look(home ? 0 : get.file.seconds - width, home ? width : get.file.seconds);
  }) },
  { keys: ['/'], label: 'search the library', act: () => { toggleLibrary(true); $('search').focus(); } },
  { keys: ['?'], label: 'this list', act: () => $('help').showModal() },
]);

addEventListener('hashchange', () => { if (state.foreign()) open(location.hash); });
addEventListener('pagehide', state.write);
open(location.hash);
// For who measures: from here on every control works.
performance.mark('studio-ready');
