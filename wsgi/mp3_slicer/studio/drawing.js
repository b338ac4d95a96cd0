/**
 * Draws what depends on the state, and only what a change touches: waveform, overview, playhead, list of spans, outputs.
 */

import { sizeOf } from './canvas.js';
import { createChapters } from './chapters.js';
import { notice } from './notices.js';
import { clipUrl, createOutputs, renderUrl } from './outputs.js';
import { createOverview } from './overview.js';
import { createPeaks } from './peaks.js';
import { tellWave } from './progress.js';
import { createRegions } from './regions.js';
import { createRenders } from './renders.js';
import { drawRuler } from './ruler.js';
import { createSpans } from './spans.js';
import { roughClock } from './times.js';
import { createTranscript } from './transcript.js';
import { columnsOf, drawWaveform } from './waveform.js';

const $ = (id) => document.getElementById(id);

/** Start drawing; {open(file), close()} begin and end the waveform of a file. */
export function createDrawing(state, edits, playback, view) {
  const { get } = state;
  const overview = createOverview(state);
  const outputs = createOutputs();
  const renders = createRenders(state);
  const spans = createSpans(state, edits);
  const transcript = createTranscript(state, edits);
  const chapters = createChapters(edits, view, () => requestAnimationFrame(redraw));
  let peaks = null;
  let regions = null;
  let starting = null;

  /** Draw the window's waveform from the data at hand, and fetch the rest. */
  function drawWave() {
    const { start, end } = get.view;
    drawRuler($('ruler'), start, end, chapters.starts());
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
    transcript.follow(playback.playing());
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
    transcript.draw(span);
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
    if (some('file', 'loop')) playback.drawLoop();
  });

  function redraw() {
    if (!get.file) return;
    drawWave();
    overview.draw(peaks);
    drawPlayhead();
  }
  new ResizeObserver(() => requestAnimationFrame(redraw)).observe($('overview'));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => requestAnimationFrame(redraw));

  /** The spans' layer is made when the first file is shown: its box has a size only then. */
  function startRegions() {
    starting ??= createRegions($('wave'), state, {
      onMake: edits.make,
      onChange: (key, first, last) => edits.change(key, first, last),
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

  return {
    open(file) {
      tellWave({ state: 'asking' });
      peaks = createPeaks(file, { onData: () => requestAnimationFrame(redraw), onState: tellWave });
      startRegions();
      transcript.open(file);
      chapters.open(file);
    },
    close() {
      transcript.close();
      chapters.close();
      peaks?.close();
      peaks = null;
      regions?.clear();
    },
  };
}
