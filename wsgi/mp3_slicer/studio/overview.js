/**
 * The strip with the whole file: its waveform, the spans, and the window that is shown, which can be dragged and moved by keys.
 */

import { colour, fit, sizeOf } from './canvas.js';
import { roughClock } from './times.js';

/** Width of the window's handle, at least, in pixels: what a finger can hold. */
const LEAST_HANDLE = 14;

/** Start the strip; {draw(peaks), place()}. */
export function createOverview(state) {
  const box = document.getElementById('overview');
  const canvas = box.querySelector('canvas');
  const handle = document.getElementById('overview-window');
  const { get } = state;
  let grabbed = null;

  const secondsAt = (event) => {
    const { left, width } = box.getBoundingClientRect();
    return ((event.clientX - left) / width) * get.file.seconds;
  };

  box.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 || !get.file) return;
    const at = secondsAt(event);
    const width = get.view.end - get.view.start;
    const inside = event.target === handle;
    if (!inside) state.look(at - width / 2, at + width / 2);
    grabbed = inside ? at - get.view.start : width / 2;
    box.setPointerCapture(event.pointerId);
    event.preventDefault();
    handle.focus({ preventScroll: true });
  });
  box.addEventListener('pointermove', (event) => {
    if (grabbed === null) return;
    const start = secondsAt(event) - grabbed;
    state.look(start, start + get.view.end - get.view.start);
  });
  for (const name of ['pointerup', 'pointercancel']) box.addEventListener(name, () => { grabbed = null; });

  handle.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { start, end } = get.view;
    const width = end - start;
    const moves = {
      ArrowLeft: -width / 10, ArrowDown: -width / 10, ArrowRight: width / 10, ArrowUp: width / 10,
      PageUp: -width, PageDown: width, Home: -start, End: get.file.seconds - end,
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    event.stopPropagation();
    state.look(start + moves[event.key], end + moves[event.key]);
  });

  return {
    /** Draw the whole file's waveform; only the spans where `peaks` has none. */
    draw(peaks) {
      const [context, width, height] = fit(canvas);
      const read = peaks?.read(0, get.file.seconds, Math.max(1, width));
      const middle = height / 2;
      context.fillStyle = colour('--wave-quiet');
      if (read) {
        for (let x = 0; x < width; x += 1) {
          const up = read.top[x] * middle;
          context.fillRect(x, middle - up, 1, Math.max(1, up + read.bottom[x] * middle));
        }
      } else {
        context.fillRect(0, middle, width, 1);
      }
      for (const span of get.spans) {
        context.fillStyle = colour(span.key === get.selected ? '--accent' : '--span');
        const from = (span.first / get.file.samples) * width;
        context.fillRect(from, height - 4, Math.max(2, ((span.last - span.first) / get.file.samples) * width), 4);
      }
    },
    /** Put the window's handle where the window is. */
    place() {
      const { seconds, rate } = get.file;
      const { start, end } = get.view;
      const [width] = sizeOf(box);
      const wide = Math.max(LEAST_HANDLE, ((end - start) / seconds) * width);
      const left = Math.min(width - wide, (start / seconds) * width);
      handle.style.width = `${wide}px`;
      handle.style.transform = `translateX(${Math.max(0, left)}px)`;
      handle.setAttribute('aria-valuemax', String(Math.round(Math.max(0, seconds - (end - start)))));
      handle.setAttribute('aria-valuenow', String(Math.round(start)));
      handle.setAttribute('aria-valuetext', `${roughClock(start * rate, rate, 1)} to ${roughClock(end * rate, rate, 1)}`);
    },
  };
}
