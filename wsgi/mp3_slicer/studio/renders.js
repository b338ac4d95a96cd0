/**
 * Effects and formats, and the render that is made of them, with its state in words.
 */

import { ask, request } from './api.js';
import { EFFECTS } from './state.js';

/** The fields: option, label, what it is (a list of choices, or a number's hint), explanation. */
const FIELDS = [
  ['format', 'Format', [['mp3', 'MP3'], ['wav', 'WAV'], ['flac', 'FLAC'], ['ogg', 'Ogg Vorbis'], ['opus', 'Opus'], ['m4a', 'M4A (AAC)']]],
  ['bitrate', 'Bitrate', [['', 'usual'], ...[32, 48, 64, 96, 128, 192, 256, 320].map((kbits) => [String(kbits), `${kbits} kbit/s`])]],
  ['fade', 'Fade in, out', 'seconds, like 0.5,1', /^\d{1,2}(\.\d{1,3})?,\d{1,2}(\.\d{1,3})?$/],
  ['gain', 'Gain', 'dB, -60 to 24', /^-?\d{1,2}(\.\d{1,3})?$/],
  ['normalize', 'Loudness', [
    ['', 'as it is'], ['ebu:-23', 'EBU R 128: −23 LUFS'], ['ebu:-16', 'podcast: −16 LUFS'], ['ebu:-14', 'streaming: −14 LUFS'],
    ['peak', 'highest peak at −1 dB'],
  ]],
  ['speed', 'Speed', [['', 'as it is'], ...['0.5', '0.75', '0.9', '1.1', '1.25', '1.5', '2'].map((factor) => [factor, `${factor} ×`])]],
  ['channels', 'Channels', [['', 'as they are'], ['1', 'mono'], ['2', 'stereo']]],
  ['rate', 'Sample rate', [
    ['', 'as it is'], ...[8000, 16000, 22050, 24000, 32000, 44100, 48000].map((hertz) => [String(hertz), `${hertz / 1000} kHz`]),
  ]],
  ['trim', 'Cut silence', [['', 'no'], ...[60, 50, 40, 30].map((level) => [`-${level}`, `below −${level} dB`])]],
  ['join', 'Spans', [['', 'the selected one'], ['all', 'all, joined']]],
  ['crossfade', 'Cross-fade', 'seconds between spans', /^\d{1,2}(\.\d{1,3})?$/],
];
const NO_RENDERS = ' This server may not make renders; the clip itself is still there.';
/** Seconds of audio whose render is better a job, where the server has a queue. */
const JOB_FROM = 60;
const WITH_BITRATE = new Set(['mp3', 'ogg', 'opus', 'm4a']);

/** Start the form and the button; {draw(url, seconds)}. */
export function createRenders(state) {
  const [form, make, stop, status, bar, audio] = [
    'effects', 'make', 'make-stop', 'render-state', 'render-progress', 'render-audio',
  ].map((id) => document.getElementById(id));
  const { get } = state;
  const inputs = new Map();
  let url = '';
  let seconds = 0;
  let running = null;
  let job = '';

  for (const [name, label, choices, pattern] of FIELDS) {
    const row = document.createElement('div');
    row.className = 'effect';
    row.dataset.name = name;
    const input = document.createElement(Array.isArray(choices) ? 'select' : 'input');
    input.id = `effect-${name}`;
    const text = Object.assign(document.createElement('label'), { htmlFor: input.id, textContent: label });
    if (Array.isArray(choices)) for (const [value, words] of choices) input.append(new Option(words, value));
    else Object.assign(input, { placeholder: choices, autocomplete: 'off', spellcheck: false });
    input.addEventListener('change', () => {
      const value = input.value.trim();
      const wrong = value && pattern && !pattern.test(value);
      if (wrong) input.setAttribute('aria-invalid', 'true');
      else input.removeAttribute('aria-invalid');
      error.textContent = wrong ? `Type ${choices}.` : '';
      if (!wrong) state.set({ effects: { ...get.effects, [name]: value, ...exclude(name, value) } });
    });
    const error = Object.assign(document.createElement('p'), { className: 'wrong', id: `effect-${name}-error` });
    input.setAttribute('aria-describedby', error.id);
    row.append(text, input, error);
    form.append(row);
    inputs.set(name, input);
  }
  form.addEventListener('submit', (event) => event.preventDefault());
  for (const radio of document.querySelectorAll('input[name=kind]')) {
    radio.addEventListener('change', () => state.set({ kind: radio.value }));
  }
  make.addEventListener('click', start);
  stop.addEventListener('click', () => {
    // Others may wait for the same work: for them it goes on.
    if (job) request(job, { method: 'DELETE' }).catch(() => {});
    halt();
    say('Cancelled.');
  });

  /** Gain and loudness exclude each other. */
  function exclude(name, value) {
    if (name === 'gain' && value) return { normalize: '' };
    if (name === 'normalize' && value) return { gain: '' };
    return {};
  }

  async function start() {
    halt();
    const [asked, long] = [url, seconds >= JOB_FROM];
    const { signal } = (running = new AbortController());
    audio.hidden = true;
    make.disabled = true;
    stop.hidden = false;
    const began = performance.now();
    try {
      const response = await ask(asked, { signal, background: long, tell });
      // All of it, so that the player and the download find it in the browser's cache.
      const { size } = await response.blob();
      const took = (performance.now() - began) / 1000;
      say(`Done: ${(size / 1000).toLocaleString('en', { maximumFractionDigits: 0 })} kB in ${took.toFixed(1)} s.`);
      audio.src = asked;
      audio.hidden = false;
      audio.play().catch(() => {});
    } catch (error) {
      if (error.name === 'AbortError') return;
      const missing = error.status === 404 && error.kind !== 'not-found' && !error.kind.startsWith('job');
      say(`Refused: ${error.message}${missing ? NO_RENDERS : ''}`, true);
    }
    finish();
  }

  function tell({ state: now, progress, seconds, detail, job: place }) {
    if (place) job = place;
    bar.hidden = false;
    if (progress === undefined || progress === null || now === 'queued') bar.removeAttribute('value');
    else bar.value = progress;
    if (now === 'asking') say('Asking the server …');
    else if (now === 'waiting') say(`${detail} Asking again in ${seconds} s.`);
    else if (now === 'queued') say('Queued: other work is done first.');
    else say(`Being made: ${Math.round((progress || 0) * 100)} %${seconds ? `, about ${Math.ceil(seconds)} s left` : ''}.`);
  }

  function say(text, wrong = false) {
    if (status.textContent !== text) status.textContent = text;
    status.classList.toggle('wrong', wrong);
  }

  function finish() {
    running = null;
    job = '';
    make.disabled = false;
    stop.hidden = true;
    bar.hidden = true;
  }

  function halt() {
    running?.abort();
    finish();
    say('');
  }

  return {
    /** Show the effects as they are; forget a result that is another request's. */
    draw(next, length) {
      seconds = length;
      const render = get.kind === 'render';
      for (const radio of document.querySelectorAll('input[name=kind]')) radio.checked = radio.value === get.kind;
      form.hidden = make.hidden = !render;
      document.getElementById('download').classList.toggle('main', !render);
      for (const [name, input] of inputs) {
        if (document.activeElement !== input || input.matches('select')) {
          if (input.matches('select') && ![...input.options].some((option) => option.value === get.effects[name])) {
            input.append(new Option(get.effects[name], get.effects[name]));
          }
          input.value = get.effects[name] ?? EFFECTS[name];
        }
      }
      const row = (name) => form.querySelector(`[data-name=${name}]`);
      row('bitrate').hidden = !WITH_BITRATE.has(get.effects.format);
      row('join').hidden = get.spans.length < 2;
      row('crossfade').hidden = get.spans.length < 2 || get.effects.join !== 'all';
      if (next !== url) {
        url = next;
        halt();
        audio.hidden = true;
        audio.removeAttribute('src');
      }
      if (!render) audio.hidden = true;
    },
  };
}
