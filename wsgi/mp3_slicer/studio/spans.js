/**
 * The list of spans, and the exact times of the selected one.
 */

import { TimeError, clockText, parsePair, parseTime, roughClock, sampleAt, secondsText } from './times.js';

/** Start the list and the fields. `edits` comes from `createEdits`. */
export function createSpans(state, edits) {
  const [list, none, editor, startField, endField, lengthField] = ['spans', 'spans-none', 'editor', 'start', 'end', 'length'].map(
    (id) => document.getElementById(id),
  );
  const { get } = state;
  /** The field that is being typed in: it is not written over. */
  let typed = null;
  let filled = null;

  document.getElementById('span-add').addEventListener('click', edits.add);
  editor.addEventListener('submit', (event) => event.preventDefault());
  editor.addEventListener('click', (event) => {
    const { edge, unit, step } = event.target.dataset;
    if (edge) edits.nudge(edge, unit, Number(step));
  });
  for (const [field, edge] of [[startField, 'first'], [endField, 'last']]) {
    field.addEventListener('focus', () => state.set({ edge }));
  }
  for (const field of [startField, endField, lengthField]) {
    field.addEventListener('input', () => { typed = field; });
    field.addEventListener('change', () => take(field));
    field.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') take(field);
      if (event.key === 'Escape') {
        typed = null;
        complain(field, '');
        fill();
        field.blur();
      }
    });
  }

  /** Read a field, and change the span or say what is wrong. */
  function take(field) {
    const span = state.selected();
    if (!span) return;
    const { rate, samples } = get.file;
    let { first, last } = span;
    try {
      const pair = field === startField && parsePair(field.value);
      if (pair) [first, last] = pair.map((time) => sampleAt(time, rate));
      else {
        const sample = sampleAt(parseTime(field.value), rate);
        if (field === startField) first = sample;
        else if (field === endField) last = sample;
        else last = first + sample;
      }
      if (first >= samples) throw new TimeError(`The file ends at ${clockText(samples, rate)}: start before that.`);
      last = Math.min(last, samples);
      if (last <= first) throw new TimeError('The end must lie after the start.');
    } catch (error) {
      if (!(error instanceof TimeError)) throw error;
      complain(field, error.message);
      return;
    }
    typed = null;
    for (const one of [startField, endField, lengthField]) complain(one, '');
    edits.change(span.key, first, last);
    fill({ first, last });
  }

  function complain(field, text) {
    document.getElementById(`${field.id}-error`).textContent = text;
    if (text) field.setAttribute('aria-invalid', 'true');
    else field.removeAttribute('aria-invalid');
  }

  /** Show the selected span's times, except in the field that is being typed in. */
  function fill(span = state.selected()) {
    if (!span) return;
    const { rate } = get.file;
    const rows = [[startField, span.first], [endField, span.last], [lengthField, span.last - span.first]];
    for (const [field, sample] of rows) {
      if (field === typed) continue;
      field.value = clockText(sample, rate);
      document.getElementById(`${field.id}-more`).textContent = `${secondsText(sample, rate)} s · sample ${sample.toLocaleString('en')}`;
      complain(field, '');
    }
    document.getElementById('length-more').textContent =
      `${secondsText(span.last - span.first, rate)} s · ${(span.last - span.first).toLocaleString('en')} samples`;
  }

  function entry(span, number) {
    const { rate } = get.file;
    const item = document.createElement('li');
    const chosen = span.key === get.selected;
    const choose = document.createElement('button');
    choose.type = 'button';
    choose.className = 'choose';
    choose.dataset.key = span.key;
    choose.setAttribute('aria-pressed', String(chosen));
    const [mark, times, length] = ['mark', 'times', 'quiet'].map((className) =>
      Object.assign(document.createElement('span'), { className }),
    );
    mark.textContent = number;
    times.textContent = `${roughClock(span.first, rate)} – ${roughClock(span.last, rate)}`;
    length.textContent = `${roughSeconds((span.last - span.first) / rate)}`;
    choose.append(mark, times, length);
    choose.addEventListener('click', () => edits.choose(span.key));
    const remove = document.createElement('button');
    remove.type = 'button';
    remove.className = 'remove';
    remove.textContent = '×';
    remove.setAttribute('aria-label', `Remove span ${number}`);
    remove.addEventListener('click', () => {
      edits.remove(span.key);
      document.getElementById('span-add').focus();
    });
    item.append(choose, remove);
    return item;
  }

  return {
    /** Show the spans as they are now. */
    draw() {
      const { spans } = get;
      const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
      list.replaceChildren(...spans.map((span, at) => entry(span, at + 1)));
      if (focused) list.querySelector(`[data-key="${focused}"]`)?.focus();
      none.hidden = spans.length > 0;
      editor.hidden = !state.selected();
      if (get.selected !== filled) typed = null;
      filled = get.selected;
      fill();
      for (const [id, edge] of [['field-start', 'first'], ['field-end', 'last']]) {
        document.getElementById(id).classList.toggle('edge', get.edge === edge);
      }
    },
  };
}

function roughSeconds(seconds) {
  return `${seconds >= 100 ? seconds.toFixed(1) : seconds.toFixed(3)} s`;
}
