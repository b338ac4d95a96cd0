/**
 * Requests to the server, and its refusals: problem documents (RFC 9457), Retry-After, and jobs.
 */

/** A refusal in the server's words. `status` is 0 where there was no answer at all. */
export class Refusal extends Error {
  constructor(status, detail, kind = '') {
    super(detail);
    this.status = status;
    this.kind = kind;
  }
}

/** Advice for a status whose response has none. */
const ADVICE = {
  0: 'The server cannot be reached. Check the connection, then try again.',
  404: 'There is no file under this name. Choose one from the library.',
  429: 'There were too many requests. Wait a moment, then try again.',
  500: 'The server made a mistake, which is in its log. Try again, or tell who runs it.',
  502: 'The server did not answer. Try again in a moment.',
  503: 'The server is busy. Try again in a moment.',
  504: 'It took too long. Try a shorter span.',
};

/** Waits that the server asks for are never shorter or longer than this, in seconds. */
const WAIT = { least: 0.5, most: 120, usual: 2 };
/** Retries of a request without progress. */
const TRIES = 30;

/** Seconds until the time in a Retry-After header (a number or a date), bounded; `usual` without one. */
export function retrySeconds(response) {
  const text = response.headers.get('Retry-After');
  let seconds = WAIT.usual;
  if (text !== null) {
    seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  }
  return Math.min(WAIT.most, Math.max(WAIT.least, Number.isNaN(seconds) ? WAIT.usual : seconds));
}

/** The refusal that an answer is, with the server's own sentence where it has one. */
export async function refusalOf(response) {
  let problem = {};
  if ((response.headers.get('Content-Type') || '').includes('json')) {
    problem = await response.json().catch(() => ({}));
  }
  return refusalFrom(problem, response.status);
}

function refusalFrom(problem, status) {
  const detail = problem.detail ? capital(problem.detail) : ADVICE[status] || `The server answered ${status}.`;
  const refusal = new Refusal(status, detail, (problem.type || '').replace('urn:slicer:problem:', ''));
  refusal.progress = typeof problem.progress === 'number' ? problem.progress : null;
  return refusal;
}

/** Fetch; raises Refusal with status 0 where there is no answer. An abort stays an AbortError. */
export async function request(url, options = {}) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refusal(0, ADVICE[0]);
  }
}

/** A JSON document. Raises Refusal. */
export async function json(url, signal) {
  const response = await request(url, { signal });
  if (!response.ok) throw await refusalOf(response);
  try {
    return await response.json();
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    if (!(error instanceof SyntaxError)) throw new Refusal(0, ADVICE[0]);
    throw new Refusal(response.status, 'The server sent something that is not its own. Try again in a moment.');
  }
}

/**
 * Something that may take long: waits as the server asks for it, and follows a job to its end.
 *
 * `goesOn` says that the server keeps what it has done of the work when its time is up, so that asking again goes on from there.
 * `tell` is called with what is going on: {state: 'asking' | 'waiting' | 'queued' | 'running', progress?, seconds?, detail?, job?}.
 * Returns the answer. Raises Refusal, or AbortError when `signal` is aborted.
 */
export async function ask(url, { signal, background = false, goesOn = false, tell = () => {} } = {}) {
  let furthest = -1;
  for (let left = TRIES; ; left -= 1) {
    tell({ state: 'asking' });
    const response = await request(url, { signal, headers: background ? { Prefer: 'respond-async' } : {} });
    if (response.status === 202) {
      const done = await follow(response, signal, tell);
      if (done) return done;
    } else if (response.ok) {
      return response;
    } else {
      const refusal = await refusalOf(response);
      const passes = [429, 503].includes(response.status) || (goesOn && response.status === 504);
      if (!passes || left <= 1) throw refusal;
      if (refusal.progress !== null && refusal.progress > furthest) {
        furthest = refusal.progress;
        left = TRIES;
      }
      await countdown(retrySeconds(response), signal, (seconds) =>
        tell({ state: 'waiting', seconds, detail: refusal.message, progress: refusal.progress }));
    }
  }
}

/** Follow a job to its result, and return that; null if it must be submitted again. */
async function follow(accepted, signal, tell) {
  const place = accepted.headers.get('Location');
  if (!place) throw new Refusal(202, 'The server took the work on, but did not say where it will be.');
  let response = accepted;
  // The first answer alone names how this client cancels it.
  let cancel = null;
  for (let lost = 0; ;) {
    if (!response.ok) {
      const refusal = await refusalOf(response);
      // A job that has expired, or whose result has, is submitted again.
      if (response.status === 404 || response.status === 410) return null;
      lost += 1;
      if (![429, 502, 503, 504].includes(response.status) || lost > TRIES) throw refusal;
    } else if (response.redirected || !(response.headers.get('Content-Type') || '').includes('json')) {
      return response;
    } else {
      lost = 0;
      const job = await response.json();
      cancel = job.cancel ?? cancel;
      if (job.state === 'done') return null;
      if (job.state === 'failed') throw refusalFrom(job.problem || { detail: 'the render failed' }, job.problem?.status ?? 500);
      if (job.state === 'cancelled') throw new Refusal(0, 'The work was cancelled. Make it again if you want it.', 'cancelled');
      tell({ state: job.state, progress: job.progress, seconds: job.seconds_left, job: cancel });
    }
    await pause(retrySeconds(response), signal);
    for (let answer = null; !answer;) {
      try {
        answer = await request(place, { signal });
      } catch (error) {
        // A connection that breaks off says nothing of the work.
        lost += 1;
        if (error.status !== 0 || lost > TRIES) throw error;
        await pause(WAIT.usual, signal);
      }
      response = answer;
    }
  }
}

/** Wait for some seconds, reporting each second how many are left. */
async function countdown(seconds, signal, tell) {
  for (let left = seconds; left > 0; left -= 1) {
    tell(Math.ceil(left));
    await pause(Math.min(1, left), signal);
  }
}

/** Wait; raises AbortError when aborted. */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException('aborted', 'AbortError'));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, seconds * 1000);
    if (signal?.aborted) stop();
    signal?.addEventListener('abort', stop, { once: true });
  });
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');
}
