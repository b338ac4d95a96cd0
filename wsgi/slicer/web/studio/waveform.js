/**
 * The waveform of the window that is shown, with the spans on it: wavesurfer.js draws it, its regions are the spans.
 *
 * wavesurfer is given the window's peaks and length each time the window moves, never a whole file and never audio. Its regions therefore
 * count from the window's start; a span that reaches out of the window is clamped by it, so only the edge that was moved is read back.
 */

const HEIGHT = 168;
/** Peaks for each CSS pixel, at most: more cannot be seen. */
const DENSITY = 2;

/**
 * Start it in the element `box`. Calls `onMake(first, last)` for a new span, `onChange(key, first, last, final)` for one that is moved,
 * `onSelect(key)` and `onPoint(sample)` for clicks. Raises Error where wavesurfer cannot be loaded.
 */
export async function createWaveform(box, state, { onMake, onChange, onSelect, onPoint }) {
  const [{ default: WaveSurfer }, { default: Regions }] = await Promise.all([import('./vendor/wavesurfer.js'), import('./vendor/regions.js')]);
  const regions = Regions.create();
  const surfer = WaveSurfer.create({
    container: box, height: HEIGHT, interact: false, cursorWidth: 0, hideScrollbar: true, autoScroll: false, maxPeak: 1,
    plugins: [regions], ...colours(),
  });
  const shown = new Map();
  let stopDrags = () => {};
  let busy = false;
  let again = null;
  let drawn = null;

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const colour = style.getPropertyValue('--wave').trim();
    return { waveColor: colour, progressColor: colour };
  }

  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => surfer.setOptions(colours()));

  const { get } = state;
  const toSample = (seconds) => Math.min(get.file.samples, Math.max(0, Math.round((get.view.start + seconds) * get.file.rate)));

  regions.on('region-created', (region) => {
    if (shown.has(region.id)) return;
    // Drawn by hand: it becomes a span, and comes back as that.
    const [first, last] = [toSample(region.start), toSample(region.end)];
    region.remove();
    if (last > first) onMake(first, last);
  });
  regions.on('region-update', (region, side) => moved(region, side, false));
  regions.on('region-updated', (region, side) => moved(region, side, true));
  regions.on('region-clicked', (region) => onSelect(region.id));
  surfer.on('click', (x) => onPoint(toSample(x * (get.view.end - get.view.start))));

  function moved(region, side, final) {
    const span = get.spans.find((one) => one.key === region.id);
    if (!span) return;
    let { first, last } = span;
    if (side === 'start') first = Math.min(last - 1, toSample(region.start));
    else if (side === 'end') last = Math.max(first + 1, toSample(region.end));
    else {
      // The whole: its length stays what it was, to the sample.
      const length = last - first;
      first = Math.min(get.file.samples - length, toSample(region.start));
      last = first + length;
    }
    onChange(region.id, first, last, final);
  }

  /** Give wavesurfer the window's peaks. Loading is asynchronous in it, so one at a time, and of those that wait only the last. */
  async function load(peaks, seconds) {
    if (busy) {
      again = [peaks, seconds];
      return;
    }
    busy = true;
    try {
      await surfer.load('', peaks, seconds);
    } finally {
      busy = false;
    }
    place();
    if (again) {
      const next = again;
      again = null;
      load(...next);
    }
  }

  /** Put the regions where the spans are. */
  function place() {
    if (!drawn) return;
    const { start, end } = drawn;
    const { rate } = get.file;
    const visible = new Set();
    for (const span of get.spans) {
      const [from, to] = [span.first / rate, span.last / rate];
      if (to <= start || from >= end) continue;
      visible.add(span.key);
      const inside = from >= start && to <= end;
      const chosen = span.key === get.selected;
      const values = { start: from - start, end: to - start };
      let region = shown.get(span.key);
      if (!region) {
        shown.set(span.key, null);
        region = regions.addRegion({ id: span.key, ...values, drag: inside, color: 'transparent', minLength: 0 });
        shown.set(span.key, region);
      } else if (!region.isDragging && region.updatingSide === undefined) {
        region.setOptions({ ...values, drag: inside });
      }
      region.element?.setAttribute('part', `region ${span.key} ${chosen ? 'chosen' : 'other'}`);
    }
    for (const [key, region] of shown) {
      if (visible.has(key)) continue;
      region?.remove();
      shown.delete(key);
    }
  }

  return {
    /** Columns that a window has. */
    columns: () => Math.max(50, Math.round(box.clientWidth * Math.min(DENSITY, window.devicePixelRatio || 1))),
    /** Draw a window from {top, bottom}, or nothing but the spans where that is null. */
    draw(peaks, start, end) {
      if (!drawn) stopDrags = regions.enableDragSelection({ color: 'transparent' });
      drawn = { start, end };
      load(peaks ? [peaks.top, peaks.bottom] : [new Float32Array(2), new Float32Array(2)], end - start);
    },
    place,
    /** Forget the spans, for another file. */
    clear() {
      for (const region of shown.values()) region?.remove();
      shown.clear();
      stopDrags();
      drawn = null;
    },
  };
}
