/**
 * The progress of the waveform, as a line and a bar.
 */

/** Show the state of the waveform, in words and as a bar. `progress` is from 0 to 1, `seconds` the time left. */
export function tellWave({ state: now, progress, seconds, error }) {
  const known = typeof progress === 'number' && now !== 'queued';
  const line = document.getElementById('wave-state');
  const bar = document.getElementById('wave-progress');
  bar.hidden = now === 'ready' || now === 'failed';
  if (known) bar.value = progress;
  else bar.removeAttribute('value');
  const percent = known ? `: ${Math.floor(progress * 100)} %` : '';
  const words = {
    ready: '',
    asking: line.textContent || 'Reading the waveform …',
    waiting: `The waveform is being computed${percent}. Spans work already.`,
    queued: 'The waveform is queued: other work is done first. Spans work already.',
    running: `The waveform is being computed${percent}${seconds ? `, about ${Math.ceil(seconds)} s left` : ''}. Spans work already.`,
    failed: noWaveform(error),
  }[now];
  if (line.textContent !== words) line.textContent = words;
}

/** The reason why there is no waveform, in words. */
function noWaveform(error) {
  if (error?.kind === 'not-found') return 'The file no longer exists. Choose another one, or reload the page to try again.';
  if ([404, 501].includes(error?.status)) return 'This server draws no waveforms. Spans work all the same: drag, or type times.';
  return `There is no waveform. ${error?.message ?? ''} Spans work all the same; reload the page to try again.`;
}
