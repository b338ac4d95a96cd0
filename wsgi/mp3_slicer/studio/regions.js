/**
 * The spans on the waveform, as regions of wavesurfer.js: to see, to make by dragging, to move and to change by their edges.
 *
 * wavesurfer has no audio and no waveform here. It is told that what it shows is one second long, and regions are placed as parts of the
 * window, so moving the window moves nothing but them. A region that reaches out of the window is clamped by it, so only the edge that was
 * moved is ever read back.
 */

const HEIGHT = 168;
/** Pixels that the pointer moves before it is a drag and no click. */
const THRESHOLD = 3;

/**
 * Start it in the element `box`. Calls `onMake(first, last)` for a new span, `onChange(key, first, last)` for one that is moved,
 * `onSelect(key)` and `onPoint(sample)` for clicks. Raises Error where wavesurfer cannot be loaded.
 */
export async function createRegions(box, state, { onMake, onChange, onSelect, onPoint }) {
  const vendors = await Promise.all([import('./vendor/wavesurfer.js'), import('./vendor/regions.js')]);
  const [WaveSurfer, Regions] = vendors.map((module) => module.default);
  const plugin = Regions.create();
  const surfer = WaveSurfer.create({
    container: box, height: HEIGHT, interact: false, cursorWidth: 0, hideScrollbar: true, autoScroll: false, renderFunction: () => {},
    plugins: [plugin],
  });
  await surfer.load('', [[0, 0]], 1);
  const shown = new Map();
  const { get } = state;

  plugin.enableDragSelection({ color: 'transparent' }, THRESHOLD);

  /** The sample at a part of the window. */
  function sampleAt(part) {
    const { start, end } = get.view;
    return Math.min(get.file.samples, Math.max(0, Math.round((start + part * (end - start)) * get.file.rate)));
  }

  // Where the pointer went down and where it is, as parts of the width: a region that is being drawn is a few pixels longer than that.
  let pointer = null;
  const partOf = (event) => {
    const { left, width } = box.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - left) / width));
  };
  box.addEventListener('pointerdown', (event) => { pointer = [partOf(event), partOf(event)]; }, { capture: true });
  addEventListener('pointermove', (event) => { if (pointer) pointer[1] = partOf(event); }, { capture: true });
  addEventListener('pointerup', (event) => { if (pointer) pointer[1] = partOf(event); }, { capture: true });
  const ends = () => (pointer[0] < pointer[1] ? { start: pointer[0], end: pointer[1] } : { start: pointer[1], end: pointer[0] });

  plugin.on('region-initialized', (region) => {
    if (!shown.has(region.id)) region.on('update', () => region.setOptions(ends()));
  });
  plugin.on('region-created', (region) => {
    if (shown.has(region.id)) return;
    // Drawn by hand: it becomes a span, and comes back as that.
    const { start, end } = ends();
    const [first, last] = [sampleAt(start), sampleAt(end)];
    region.remove();
    if (get.file && last > first) onMake(first, last);
  });
  plugin.on('region-update', moved);
  plugin.on('region-updated', moved);
  plugin.on('region-clicked', (region) => onSelect(region.id));
  surfer.on('click', (part) => { if (get.file) onPoint(sampleAt(part)); });

  function moved(region, side) {
    const span = get.spans.find((one) => one.key === region.id);
    if (!span) return;
    let { first, last } = span;
    if (side === 'start') first = Math.min(last - 1, sampleAt(region.start));
    else if (side === 'end') last = Math.max(first + 1, sampleAt(region.end));
    else {
      // The whole: its length stays what it was, to the sample.
      const length = last - first;
      first = Math.min(get.file.samples - length, sampleAt(region.start));
      last = first + length;
    }
    onChange(region.id, first, last);
  }

  return {
    /** Put the regions where the spans are. */
    place() {
      const { start, end } = get.view;
      const { rate } = get.file;
      const visible = new Set();
      for (const span of get.spans) {
        const from = (span.first / rate - start) / (end - start);
        const to = (span.last / rate - start) / (end - start);
        if (to <= 0 || from >= 1) continue;
        visible.add(span.key);
        const inside = from >= 0 && to <= 1;
        let region = shown.get(span.key);
        if (!region) {
          shown.set(span.key, null);
          region = plugin.addRegion({ id: span.key, start: from, end: to, drag: inside, color: 'transparent', minLength: 0 });
          shown.set(span.key, region);
        } else if (!region.isDragging && region.updatingSide === undefined) {
          region.setOptions({ start: from, end: to, drag: inside });
        }
        region.element?.setAttribute('part', `region ${span.key} ${span.key === get.selected ? 'chosen' : 'other'}`);
      }
      for (const [key, region] of shown) {
        if (visible.has(key)) continue;
        shown.delete(key);
        region?.remove();
      }
    },
    /** Forget the spans, for another file. */
    clear() {
      for (const region of shown.values()) region?.remove();
      shown.clear();
    },
  };
}
