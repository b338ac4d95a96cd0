/**
 * Playing the selected span, or from the cursor; the cursor and the window follow.
 */

import { dismiss, notice } from './notices.js';
import { clipUrl } from './outputs.js';
import { createPlayer } from './player.js';
import { PAGE } from './view.js';

/** Seconds played from the cursor, at most. */
const FROM_CURSOR = 600;

/** {play(), playHere(), loop(), drawLoop(), clear()}, and the player's own stop(), skip(seconds), faster(), playing(). */
export function createPlayback(state, view) {
  const { get } = state;
  const button = document.getElementById('play');
  const player = createPlayer(document.getElementById('audio'), {
    onTime(sample) {
      state.set({ cursor: sample });
      const at = sample / get.file.rate;
      // The window turns over like a page when the sound leaves it.
      if (player.playing() && at > get.view.end && at < get.view.end + 1) view.pan(PAGE);
    },
    onState(playing) {
      button.textContent = playing ? 'Stop' : 'Play';
      document.body.classList.toggle('playing', playing);
    },
    onError: (text) => notice('player', `This cannot be played. ${text}`),
  });

  function playClip(first, last, loops) {
    dismiss('player');
    player.play({ url: clipUrl(get.file, first, last), first, last, rate: get.file.rate, loops, loop: loops && get.loop });
  }

  function playHere() {
    const { cursor, file } = get;
    const first = cursor >= file.samples ? 0 : cursor;
    playClip(first, Math.min(file.samples, first + FROM_CURSOR * file.rate), false);
  }

  return {
    ...player,
    playHere,
    /** Play the selected span, or from the cursor where there is none; stop what plays. */
    play() {
      const span = state.selected();
      if (player.playing()) player.stop();
      else if (span) playClip(span.first, span.last, true);
      else playHere();
    },
    loop() { state.set({ loop: !get.loop }); },
    /** Show whether spans loop, and have a span that plays do so. */
    drawLoop() {
      document.getElementById('loop').setAttribute('aria-pressed', String(get.loop));
      if (player.clip()?.loops) player.loop(get.loop);
    },
    clear() {
      dismiss('player');
      player.clear();
    },
  };
}
