/**
 * Plays clips by their real URLs: what is heard is what the URL gives.
 */

import { refusalOf, request } from './api.js';

/** Speeds that pressing the key again goes through. */
const SPEEDS = [1, 1.5, 2];

/**
 * A player: `onTime(sample)` is called for each frame while it plays, `onState(playing)` when that changes, `onError(text)` with words.
 */
export function createPlayer(audio, { onTime, onState, onError }) {
  let clip = null;
  let frame = 0;

  function follow() {
    cancelAnimationFrame(frame);
    if (!clip || audio.paused) return;
    onTime(sample());
    frame = requestAnimationFrame(follow);
  }

  function sample() {
    return Math.min(clip.last, clip.first + Math.round(audio.currentTime * clip.rate));
  }

  audio.addEventListener('play', () => { onState(true); follow(); });
  audio.addEventListener('pause', () => onState(false));
  audio.addEventListener('ended', () => { if (clip) onTime(clip.first); onState(false); });
  audio.addEventListener('error', async () => {
    if (!clip || !audio.getAttribute('src')) return;
    onState(false);
    onError(await reason(clip.url));
  });

  return {
    playing: () => clip !== null && !audio.paused,
    /** What is played or was: {url, first, last, rate, loop}, and what `play` was given besides. */
    clip: () => clip,
    /** Play a clip from its start. */
    async play(next) {
      if (clip?.url !== next.url) audio.src = next.url;
      else audio.currentTime = 0;
      clip = next;
      audio.loop = next.loop;
      audio.playbackRate = 1;
      try {
        await audio.play();
      } catch (error) {
        // AbortError: another clip took its place. What is wrong with the clip itself comes as an error event.
        if (error.name === 'NotAllowedError') onError('The browser does not let this page play sound yet. Press Play again.');
      }
    },
    stop() { audio.pause(); },
    loop(on) { if (clip) audio.loop = clip.loop = on; },
    /** Seconds forward or, below zero, back, within the clip. */
    skip(seconds) {
      if (clip) audio.currentTime = Math.max(0, Math.min((clip.last - clip.first) / clip.rate, audio.currentTime + seconds));
      if (clip) onTime(sample());
    },
    /** The next faster speed. */
    faster() { audio.playbackRate = SPEEDS[(SPEEDS.indexOf(audio.playbackRate) + 1) % SPEEDS.length]; },
    /** Forget the clip. */
    clear() {
      audio.pause();
      clip = null;
      audio.removeAttribute('src');
    },
  };
}

/** Why a clip cannot be played: an audio element does not tell, the server does. */
async function reason(url) {
  try {
    const response = await request(url, { headers: { Range: 'bytes=0-0' } });
    if (!response.ok) return (await refusalOf(response)).message;
    return 'This browser cannot play the clip. Download it instead.';
  } catch (error) {
    return error.message;
  }
}
