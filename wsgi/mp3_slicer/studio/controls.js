/**
 * Mouse wheel, buttons and keys: which action each one starts.
 */

import { NEW_SPAN } from './edits.js';
import { createKeyboard } from './keyboard.js';
import { PAGE, ZOOM } from './view.js';

/** Seconds of a jump. */
const JUMP = 5;

const $ = (id) => document.getElementById(id);

/** Connect them to `view`, `edits` and `playback`. */
export function createControls(state, { library, view, edits, playback }) {
  const { get } = state;

  $('wave').addEventListener('wheel', (event) => {
    if (!get.file) return;
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    if (!sideways && !event.ctrlKey && !event.metaKey) return; // the page scrolls
    event.preventDefault();
    if (sideways) view.pan((event.deltaX || event.deltaY) / 1000);
    else {
      const { left, width } = $('wave').getBoundingClientRect();
      const { start, end } = get.view;
      view.zoom(1.0015 ** event.deltaY, start + ((event.clientX - left) / width) * (end - start));
    }
  }, { passive: false });

  for (const [id, action] of Object.entries({
    play: playback.play, 'play-here': playback.playHere, loop: playback.loop, 'zoom-span': view.zoomSpan, 'zoom-all': view.zoomAll,
    'zoom-in': () => view.zoom(1 / ZOOM), 'zoom-out': () => view.zoom(ZOOM),
  })) $(id).addEventListener('click', action);

  // The hash holds the page's state, so a link inside the page cannot use it.
  $('skip').addEventListener('click', (event) => {
    event.preventDefault();
    $('work').focus();
  });

  /** A key's action that needs a file. */
  const need = (action) => (event) => { if (get.file) action(event); };
  createKeyboard([
    { keys: [' '], show: ['Space'], label: 'play the selected span, or stop', act: need(playback.play) },
    { keys: ['p', 'P'], show: ['P'], label: 'play from the cursor', act: need(playback.playHere) },
    { keys: ['j', 'J'], show: ['J'], label: `back ${JUMP} seconds`, act: need(() => playback.skip(-JUMP)) },
    { keys: ['k', 'K'], show: ['K'], label: 'stop', act: need(() => playback.stop()) },
    {
      keys: ['l', 'L'], show: ['L'], label: 'play; again: faster',
      act: need(() => (playback.playing() ? playback.faster() : playback.play())),
    },
    { keys: ['r', 'R'], show: ['R'], label: 'loop on, off', act: need(playback.loop) },
    { keys: ['i', 'I'], show: ['I'], label: 'start the span at the cursor', act: need(() => edits.set('first')) },
    { keys: ['o', 'O'], show: ['O'], label: 'end the span at the cursor', act: need(() => edits.set('last')) },
    { keys: ['n', 'N'], show: ['N'], label: `new span of ${NEW_SPAN} seconds at the cursor`, act: need(edits.add) },
    { keys: ['s', 'S'], show: ['S'], label: 'arrows move the start', act: need(() => state.set({ edge: 'first' })) },
    { keys: ['e', 'E'], show: ['E'], label: 'arrows move the end', act: need(() => state.set({ edge: 'last' })) },
    {
      keys: ['ArrowLeft', 'ArrowRight'], show: ['←', '→'], shift: false,
      label: 'move that edge, or without a span the cursor, by a frame (about 26 ms)',
      act: need((event) => edits.nudge(get.edge, 'frame', event.key === 'ArrowLeft' ? -1 : 1)),
    },
    {
      keys: ['ArrowLeft', 'ArrowRight'], show: ['Shift ←', 'Shift →'], shift: true, label: 'by one sample',
      act: need((event) => edits.nudge(get.edge, 'sample', event.key === 'ArrowLeft' ? -1 : 1)),
    },
    {
      keys: ['ArrowUp', 'ArrowDown'], show: ['↑', '↓'], label: 'select another span',
      act: need((event) => edits.step(event.key === 'ArrowUp' ? -1 : 1)),
    },
    { keys: ['Delete', 'Backspace'], show: ['Delete'], label: 'remove the selected span', act: need(() => edits.remove(get.selected)) },
    { keys: ['+', '='], show: ['+'], label: 'zoom in', act: need(() => view.zoom(1 / ZOOM)) },
    { keys: ['-', '_'], show: ['−'], label: 'zoom out', act: need(() => view.zoom(ZOOM)) },
    { keys: ['z', 'Z'], show: ['Z'], label: 'zoom to the span', act: need(view.zoomSpan) },
    { keys: ['0'], label: 'the whole file', act: need(view.zoomAll) },
    {
      keys: ['PageUp', 'PageDown'], show: ['Page ↑', 'Page ↓'], label: 'scroll back, forward',
      act: need((event) => view.pan(event.key === 'PageUp' ? -PAGE : PAGE)),
    },
    { keys: ['Home', 'End'], label: 'start of the file, end of the file', act: need((event) => view.scrollTo(event.key === 'Home')) },
    { keys: ['/'], label: 'search the library', act: () => { library.toggle(true); $('search').focus(); } },
    { keys: ['w', 'W'], show: ['W'], label: 'search what is said', act: () => { if (!$('moments').hidden) $('said').focus(); } },
    { keys: ['?'], label: 'this list', act: () => $('help').showModal() },
  ]);
}
