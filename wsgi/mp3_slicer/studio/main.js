/**
 * The studio: puts the parts together.
 */

import { createControls } from './controls.js';
import { createDrawing } from './drawing.js';
import { createEdits } from './edits.js';
import { createLibrary } from './library.js';
import { createOpening } from './opening.js';
import { createPlayback } from './playback.js';
import { createSearch } from './search.js';
import { createState } from './state.js';
import { createView } from './view.js';

const state = createState();
const search = createSearch();
const library = createLibrary(search.offer);
const view = createView(state);
const edits = createEdits(state, view);
const playback = createPlayback(state, view);
const drawing = createDrawing(state, edits, playback, view);
const open = createOpening(state, { library, playback, drawing });
createControls(state, { library, view, edits, playback });

addEventListener('hashchange', () => { if (state.foreign()) open(location.hash); });
addEventListener('pagehide', state.write);
open(location.hash);
// It shows itself if a module is missing, so it cannot depend on one.
document.getElementById('late').remove();
// For measurements: from here on every control works.
performance.mark('studio-ready');
