/**
 * The waveform of the window that is shown.
 *
 * It is drawn here and not by wavesurfer.js, which makes new canvases and copies one to the other each time it is given something new:
 * measured, that was nine tenths of the time for a frame of scrolling, and frames took longer than 50 ms.
 */

import { colour, fit, sizeOf } from './canvas.js';

/** Values for each CSS pixel, at most: more cannot be seen. */
const DENSITY = 2;

/** How many columns a waveform on this canvas has. */
export function columnsOf(canvas) {
  return Math.max(1, Math.round(sizeOf(canvas)[0] * Math.min(DENSITY, window.devicePixelRatio || 1)));
}

/** Draw {top, bottom}, which have a value from 0 to 1 for each column; a line where that is null. */
export function drawWaveform(canvas, peaks) {
  const [context, width, height] = fit(canvas);
  const middle = height / 2;
  context.fillStyle = colour('--wave');
  if (!peaks) {
    context.fillRect(0, middle, width, 1);
    return;
  }
  const { top, bottom } = peaks;
  const columns = top.length;
  const step = width / columns;
  context.beginPath();
  context.moveTo(0, middle);
  // At least a hair's width, so that silence is a line.
  for (let at = 0; at < columns; at += 1) context.lineTo((at + 0.5) * step, middle - Math.max(0.5, top[at] * middle));
  for (let at = columns - 1; at >= 0; at -= 1) context.lineTo((at + 0.5) * step, middle + Math.max(0.5, bottom[at] * middle));
  context.closePath();
  context.fill();
}
