/**
 * Changes to the list of spans: add, select, remove, move.
 */

/** Seconds of a span that is added at the cursor. */
export const NEW_SPAN = 10;

/** {make, add, choose, remove, change, nudge, set, step}; positions are samples. `view` comes from `createView`. */
export function createEdits(state, view) {
  const { get } = state;
  let number = 0;
  const edits = {
    /** Add a span of the samples first..last-1, and select it. */
    make(first, last) {
      number += 1;
      const key = `n${number}`;
      state.set({ spans: [...get.spans, { key, first, last }], selected: key, cursor: first });
    },
    /** Add a span at the cursor, or at the end where the file is too short. */
    add() {
      const length = Math.min(get.file.samples, Math.round(NEW_SPAN * get.file.rate));
      const first = Math.min(get.cursor, get.file.samples - length);
      edits.make(first, first + length);
      view.reveal();
    },
    choose(key) {
      const span = get.spans.find((one) => one.key === key);
      state.set({ selected: key, cursor: span.first });
    },
    remove(key) {
      const at = get.spans.findIndex((span) => span.key === key);
      if (at < 0) return;
      const spans = get.spans.filter((span) => span.key !== key);
      state.set({ spans, selected: get.selected === key ? (spans[Math.min(at, spans.length - 1)]?.key ?? null) : get.selected });
    },
    change(key, first, last) {
      state.set({ spans: get.spans.map((span) => (span.key === key ? { key, first, last } : span)), selected: key });
    },
    /** Move an edge of the selected span by samples or frames; without a span, move the cursor. */
    nudge(edge, unit, step) {
      const by = step * (unit === 'frame' ? get.file.frame : 1);
      const span = state.selected();
      if (!span) {
        state.set({ cursor: within(get.cursor + by, 0, get.file.samples) });
        return;
      }
      const first = edge === 'first' ? within(span.first + by, 0, span.last - 1) : span.first;
      const last = edge === 'last' ? within(span.last + by, span.first + 1, get.file.samples) : span.last;
      state.set({ edge });
      edits.change(span.key, first, last);
    },
    /** Move an edge of the selected span to the cursor; without a span, add one. */
    set(edge) {
      const span = state.selected();
      const { cursor, file } = get;
      if (!span) edits.make(...(edge === 'first' ? [Math.min(cursor, file.samples - 1), file.samples] : [0, Math.max(1, cursor)]));
      else if (edge === 'first') edits.change(span.key, Math.min(cursor, file.samples - 1), within(cursor + 1, span.last, file.samples));
      else edits.change(span.key, Math.min(span.first, Math.max(0, cursor - 1)), Math.max(1, cursor));
      state.set({ edge, cursor });
    },
    /** Select the next span, or the one before. */
    step(by) {
      if (!get.spans.length) return;
      const at = get.spans.findIndex((span) => span.key === get.selected);
      edits.choose(get.spans[(at + by + get.spans.length) % get.spans.length].key);
      view.reveal();
    },
  };
  return edits;
}

function within(value, least, most) {
  return Math.max(least, Math.min(most, value));
}
