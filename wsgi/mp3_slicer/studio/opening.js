/**
 * Opening the file that the URL names, and showing what it is.
 */

import { Refusal, json } from './api.js';
import { dismiss, notice } from './notices.js';
import { parse } from './state.js';
import { clockText, lengthText } from './times.js';

const PHONE = matchMedia('(max-width: 760px)');

const $ = (id) => document.getElementById(id);

/** The function open(hash). */
export function createOpening(state, { library, playback, drawing }) {
  const { get } = state;
  let opening = null;

  /** Open the file that the URL names. */
  async function open(hash) {
    const { file: id, fill } = parse(hash);
    state.adopt();
    if (get.file && get.file.id === id) {
      const { view, ...values } = fill(get.file);
      state.set(values);
      if (view) state.look(view.start, view.end);
      return;
    }
    state.hold();
    opening?.abort();
    const { signal } = (opening = new AbortController());
    dismiss('file');
    playback.clear();
    drawing.close();
    library.mark(id);
    if (!id) {
      welcome();
      document.title = 'Slicer studio';
      return;
    }
    let file;
    try {
      file = await fetchFile(id, signal);
    } catch (error) {
      if (error.name === 'AbortError') return;
      welcome();
      notice('file', `The file cannot be opened. ${error.message}`, { action: 'Try again', onAction: () => open(location.hash) });
      return;
    }
    if (signal.aborted) return;
    const { view, ...values } = fill(file);
    state.set({ file, edge: 'first', ...values });
    state.look(view?.start ?? 0, view?.end ?? file.seconds);
    library.mark(file.id);
    show(file);
  }

  /** Show no file. */
  function welcome() {
    get.file = null;
    $('desk').hidden = true;
    $('welcome').hidden = false;
  }

  function show(file) {
    describe(file);
    $('welcome').hidden = true;
    $('desk').hidden = false;
    if (PHONE.matches) library.toggle(false);
    drawing.open(file);
  }

  return open;
}

/** Fetch what the server says of a file. Throws a Refusal where it is none. */
async function fetchFile(id, signal) {
  const info = await json(`/info/${id}`, signal);
  // A link may name another of the server's documents.
  if (!info?.clips?.startsWith?.('/clips/')) {
    throw new Refusal(404, 'There is no file under this name. Choose one from the library.');
  }
  // Its path as the server writes it, whatever the link looked like: this becomes part of what is copied and run elsewhere.
  return {
    ...info, id: info.clips.slice('/clips/'.length), rate: info.sample_rate, seconds: info.samples / info.sample_rate,
    frame: info.mpeg_version === '1' ? 1152 : 576,
  };
}

/** Show the name and the properties of a file. */
function describe(file) {
  const name = file.path.slice(file.path.lastIndexOf('/') + 1);
  document.title = `${name} · Slicer studio`;
  $('file-name').textContent = file.path;
  $('file-facts').textContent = [
    lengthText(file.duration), `${file.rate / 1000} kHz`, file.channels === 1 ? 'mono' : 'stereo',
    `${file.bitrate_mode === 'constant' ? '' : 'about '}${Math.round(file.bitrate / 1000)} kbit/s`,
    `ends at ${clockText(file.samples, file.rate)}`,
  ].join(' · ');
  const cover = $('cover');
  cover.hidden = true;
  cover.onload = () => { cover.hidden = false; };
  if (file.cover?.startsWith?.('/covers/')) {
    cover.src = file.cover;
  } else {
    cover.removeAttribute('src');
  }
  if (file.segments.length > 1) {
    notice(
      'segments',
      'In this file the sample rate or the channels change. A span must not reach across such a change; the server says where it is.',
    );
  } else {
    dismiss('segments');
  }
}
