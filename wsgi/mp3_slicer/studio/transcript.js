/**
 * The transcript of the open file: it follows what is heard, and words that are selected become a span.
 *
 * Cues are put into the page some at a time, in groups that the browser lays out only when they are seen, so ten thousand hold nothing up.
 */

import { json } from './api.js';
import { copyFrom } from './clipboard.js';
import { clipUrl } from './outputs.js';
import { roughClock, secondsText } from './times.js';

/** Cues of a group, each of which is added in a frame of its own. */
const GROUP = 200;
/** Milliseconds after the last change of a selection. */
const PAUSE = 250;
const WORD = /[\p{L}\p{N}\p{M}'’-]/u;

const $ = (id) => document.getElementById(id);

/** {open(file), close(), follow(playing), draw(span)}. */
export function createTranscript(state, edits) {
  const [box, panel, status, quotation] = ['transcript', 'cues', 'transcript-state', 'out-quote'].map($);
  const { get } = state;
  let cues = [];
  let running = null;
  let now = null;
  let timer = 0;
  /** The key of the span that a selection made: the next selection moves it. */
  let made = null;

  async function open(file) {
    close();
    if (!file.transcript) return;
    box.hidden = false;
    status.textContent = 'Reading the transcript …';
    const { signal } = (running = new AbortController());
    try {
      const found = await json(`/transcripts/${stemOf(file)}.json`, signal);
      if (signal.aborted) return;
      cues = found.segments;
      status.textContent = '';
      add(0, signal);
      state.set({ cursor: get.cursor, selected: get.selected });
    } catch (error) {
      if (error.name !== 'AbortError') status.textContent = `The transcript cannot be read. ${error.message}`;
    }
  }

  function close() {
    running?.abort();
    clearTimeout(timer);
    cues = [];
    now = made = null;
    panel.replaceChildren();
    box.hidden = true;
    for (const id of ['quote-row', 'subtitles']) $(id).hidden = true;
  }

  /** Add a group of cues, and the next one in the next frame. */
  function add(from, signal) {
    if (signal.aborted || from >= cues.length) return;
    const group = document.createElement('div');
    group.className = 'cues-group';
    group.append(...cues.slice(from, from + GROUP).map((cue, index) => paragraph(cue, from + index)));
    panel.append(group);
    requestAnimationFrame(() => add(from + GROUP, signal));
  }

  function paragraph(cue, number) {
    const line = document.createElement('p');
    line.dataset.cue = number;
    line.tabIndex = -1;
    const time = Object.assign(document.createElement('span'), { className: 'time quiet', textContent: roughClock(cue.startTime, 1, 0) });
    line.append(time, ' ');
    if (cue.speaker && cue.speaker !== cues[number - 1]?.speaker) {
      line.append(Object.assign(document.createElement('b'), { textContent: `${cue.speaker}: ` }));
    }
    line.append(Object.assign(document.createElement('span'), { className: 'text', textContent: cue.body }));
    return line;
  }

  /** The number of the last cue that begins at a time or before; -1 before the first. */
  function cueAt(seconds) {
    let [low, high] = [0, cues.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (cues[middle].startTime <= seconds) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  const lineOf = (number) => panel.querySelector(`[data-cue="${number}"]`);

  function show(line) {
    const { top, bottom } = line.getBoundingClientRect();
    const around = panel.getBoundingClientRect();
    if (top < around.top || bottom > around.bottom) panel.scrollTop += top - around.top - around.height / 3;
  }

  /** Mark the cue that is heard, and keep it in sight while something plays. */
  function follow(playing) {
    if (!cues.length) return;
    const number = cueAt(get.cursor / get.file.rate + 0.001);
    const line = lineOf(number);
    if (line === now) return;
    now?.removeAttribute('aria-current');
    now = line;
    line?.setAttribute('aria-current', 'true');
    if (line && playing && $('transcript-follow').checked && document.getSelection().isCollapsed) show(line);
  }

  /** The time at a place of a selection, moved outwards to the border of a word. */
  function timeAt(node, offset, isEnd) {
    const line = (node.nodeType === Node.TEXT_NODE ? node.parentElement : node).closest('[data-cue]');
    if (!line) return null;
    const { startTime, endTime, body } = cues[line.dataset.cue];
    const before = document.createRange();
    before.selectNodeContents(line.querySelector('.text'));
    // In front of the text stands the time; a selection that begins there begins with the first word.
    let at = before.comparePoint(node, offset) < 0 ? 0 : body.length;
    if (before.comparePoint(node, offset) === 0) {
      before.setEnd(node, offset);
      at = before.toString().length;
    }
    const step = isEnd ? 1 : -1;
    while (at > 0 && at < body.length && WORD.test(body[at - 1]) && WORD.test(body[at])) at += step;
    return startTime + ((endTime - startTime) * at) / Math.max(1, body.length);
  }

  /** Make what is selected a span. */
  function take() {
    const selection = document.getSelection();
    if (selection.isCollapsed || !selection.rangeCount || !get.file) return;
    const range = selection.getRangeAt(0);
    if (!panel.contains(range.startContainer) || !panel.contains(range.endContainer)) return;
    const from = timeAt(range.startContainer, range.startOffset, false);
    const to = timeAt(range.endContainer, range.endOffset, true);
    if (from !== null && to !== null) spanOf(from, to);
  }

  function spanOf(from, to) {
    const { rate, samples } = get.file;
    const first = Math.min(samples - 1, Math.round(from * rate));
    const last = Math.min(samples, Math.max(first + Math.round(rate / 10), Math.round(to * rate)));
    if (made !== null && made === get.selected) edits.change(made, first, last);
    else {
      edits.make(first, last);
      made = get.selected;
    }
  }

  /** Show what is said in a span, to be quoted. */
  function draw(span) {
    $('quote-row').hidden = $('subtitles').hidden = !cues.length;
    if (!cues.length) return;
    const { file } = get;
    const [from, to] = [span.first / file.rate, span.last / file.rate];
    const said = cues.slice(Math.max(0, cueAt(from)), cueAt(to) + 1).filter((cue) => cue.endTime > from && cue.startTime < to);
    const words = said.map((cue) => cue.body.replaceAll('\n', ' ')).join(' ');
    const who = said[0]?.speaker ? `${said[0].speaker}, ` : '';
    quotation.value = `“${words}” – ${who}${file.title || file.path}, ${roughClock(span.first, file.rate, 0)}, ${location.origin}${
      clipUrl(file, span.first, span.last)}`;
    const times = `${secondsText(span.first, file.rate)},${secondsText(span.last, file.rate)}`;
    $('subtitles').href = `/transcripts/${stemOf(file)}.vtt?t=${times}`;
  }

  document.addEventListener('selectionchange', () => {
    clearTimeout(timer);
    timer = setTimeout(take, PAUSE);
  });
  panel.addEventListener('click', (event) => {
    const line = event.target.closest('[data-cue]');
    if (!line || !document.getSelection().isCollapsed) return;
    state.set({ cursor: Math.min(get.file.samples, Math.round(cues[line.dataset.cue].startTime * get.file.rate)) });
  });
  // Keys move from cue to cue; with Shift, all from the first to the last of them are the span.
  let anchor = null;
  panel.addEventListener('keydown', (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const focused = document.activeElement.closest('[data-cue]')?.dataset.cue;
    const at = Number(focused ?? Math.max(0, cueAt(get.cursor / get.file.rate)) - (by ?? 0));
    if (event.key === 'Enter' && cues[at]) spanOf(cues[at].startTime, cues[at].endTime);
    else if (by) {
      const line = lineOf(Math.max(0, Math.min(cues.length - 1, at + by)));
      if (!line) return;
      anchor = event.shiftKey ? (anchor ?? at) : null;
      line.focus({ preventScroll: true });
      show(line);
      if (anchor !== null) {
        const [from, to] = [anchor, Number(line.dataset.cue)].sort((a, b) => a - b);
        spanOf(cues[from].startTime, cues[to].endTime);
      }
    } else return;
    event.preventDefault();
  });
  $('quote-copy').addEventListener('click', async () => {
    $('copied').textContent = (await copyFrom(quotation)) ? 'Copied.' : 'Press Ctrl+C to copy what is marked.';
  });

  return { open, close, follow, draw };
}

/** The path of a file in URLs, without its ending. */
export function stemOf(file) {
  return file.id.replace(/\.mp3$/i, '');
}
