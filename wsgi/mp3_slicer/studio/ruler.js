/**
 * The times above the waveform.
 */

import { colour, fit } from './canvas.js';
import { roughClock } from './times.js';

/** Distances between marks, in seconds. */
const STEPS = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36000,
];
const FONT = '11px system-ui, sans-serif';
/** Pixels between marks, at least. */
const ROOM = 84;

/** Draw the times of a window, in seconds, into a canvas, and marks at some times. */
export function drawRuler(canvas, start, end, marks) {
  const [context, width, height] = fit(canvas);
  const step = STEPS.find((one) => (one / (end - start)) * width >= ROOM) ?? STEPS.at(-1);
  const decimals = step >= 1 ? 0 : Math.ceil(-Math.log10(step));
  context.font = FONT;
  context.textBaseline = 'middle';
  for (let number = Math.floor(start / step); number * step <= end; number += 1) {
    const x = Math.round(((number * step - start) / (end - start)) * width) + 0.5;
    context.fillStyle = colour('--line');
    context.fillRect(x - 0.5, height - 7, 1, 7);
    context.fillStyle = colour('--quiet');
    context.fillText(roughClock(number * step * 1e6, 1e6, decimals), x + 4, height / 2);
  }
  context.fillStyle = colour('--accent');
  for (const mark of marks) {
    if (mark >= start && mark <= end) context.fillRect(Math.round(((mark - start) / (end - start)) * width) - 1, 0, 3, height);
  }
}
