/**
 * The window: which part of the file is shown, and how it zooms and scrolls.
 */

/** How much one step zooms, and which part of the window one page is. */
export const ZOOM = 2;
export const PAGE = 0.9;

/** {reveal(), zoom(factor, around), zoomSpan(), zoomAll(), pan(part)}. */
export function createView(state) {
  const { get } = state;

  /** The selected span in seconds, or null. */
  function chosen() {
    const span = state.selected();
    return span && [span.first / get.file.rate, span.last / get.file.rate];
  }

  return {
    /** Bring the selected span into the window. */
    reveal() {
      const [from, to] = chosen() ?? [];
      const { start, end } = get.view;
      if (from === undefined || (from >= start && to <= end)) return;
      const width = Math.max(end - start, (to - from) * 1.25);
      state.look((from + to - width) / 2, (from + to + width) / 2);
    },
    /** Make the window `factor` times as wide, around a time in seconds: by default the cursor, or the middle where it is outside. */
    zoom(factor, around = null) {
      const { start, end } = get.view;
      const cursor = get.cursor / get.file.rate;
      const middle = around ?? (cursor >= start && cursor <= end ? cursor : (start + end) / 2);
      state.look(middle - (middle - start) * factor, middle + (end - middle) * factor);
    },
    zoomSpan() {
      const [from, to] = chosen() ?? [];
      if (from === undefined) return;
      const room = (to - from) / 8;
      state.look(from - room, to + room);
    },
    zoomAll() { state.look(0, get.file.seconds); },
    /** Scroll by a part of the window's width. */
    pan(part) {
      const by = (get.view.end - get.view.start) * part;
      state.look(get.view.start + by, get.view.end + by);
    },
    /** Scroll to the start of the file, or to its end. */
    scrollTo(start) {
      const width = get.view.end - get.view.start;
      state.set({ cursor: start ? 0 : get.file.samples });
      state.look(start ? 0 : get.file.seconds - width, start ? width : get.file.seconds);
    },
  };
}
