// The way from a search to a clip, in Debian's Firefox by WebDriver BiDi: prints what the page showed at each step, as JSON.
//
// node firefox.cjs PROGRAM URL DOWNLOADS, with puppeteer-core where NODE_PATH names.

const fs = require('node:fs');
const puppeteer = require('puppeteer-core');

const PATIENCE = 60_000;
const [program, server, downloads] = process.argv.slice(2);

/** The text of an element. */
const textOf = (page, selector) => page.$eval(selector, (element) => element.textContent);
/** The value of a field. */
const valueOf = (page, selector) => page.$eval(selector, (element) => element.value);
/** Wait until an expression of the page is true. */
const until = (page, truth, ...values) => page.waitForFunction(truth, { timeout: PATIENCE }, ...values);

/** The middle of a word in a line of the transcript, on the screen. */
function middleOf(page, line, word) {
  return page.evaluate((number, text) => {
    const node = document.querySelector(`[data-cue="${number}"] .text`).firstChild;
    const range = document.createRange();
    range.setStart(node, node.data.indexOf(text));
    range.setEnd(node, node.data.indexOf(text) + text.length);
    const { left, top, width, height } = range.getBoundingClientRect();
    return [left + width / 2, top + height / 2];
  }, line, word);
}

/** Type what is said, hear a result, open it by keys. */
async function search(page) {
  await page.waitForSelector('#moments:not([hidden])', { timeout: PATIENCE });
  await page.type('#said', 'harb');
  await until(page, () => document.querySelectorAll('#moments-list li').length === 1);
  const found = { state: await textOf(page, '#moments-state'), mark: await textOf(page, '#moments-list mark') };
  await page.click('#moments-list button');
  await until(page, () => document.getElementById('moment-audio').currentTime > 0);
  await page.focus('#said');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await until(page, () => document.getElementById('out-url').value.includes('t='));
  return { ...found, url: await valueOf(page, '#out-url') };
}

/** Select words with the mouse, then a cue by keys. */
async function transcript(page) {
  await until(page, () => document.querySelectorAll('#cues p').length === 3);
  const before = await valueOf(page, '#out-url');
  await page.$eval('#cues', (cues) => cues.scrollIntoView({ block: 'center' }));
  await page.mouse.move(...(await middleOf(page, 0, 'morning')));
  await page.mouse.down();
  await page.mouse.move(...(await middleOf(page, 1, 'and')), { steps: 5 });
  await page.mouse.move(...(await middleOf(page, 1, 'welcome')), { steps: 5 });
  await page.mouse.up();
  await until(page, (old) => document.getElementById('out-url').value !== old, before);
  await until(page, () => document.getElementById('out-quote').value.includes('welcome'));
  const selected = { url: await valueOf(page, '#out-url'), quote: await valueOf(page, '#out-quote') };
  await page.click('#download');
  await page.focus('#cues');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await until(page, (old) => document.getElementById('out-url').value !== old, selected.url);
  return { ...selected, cue: await valueOf(page, '#out-url') };
}

/** Open the file with chapters and a cover from the list, and choose a chapter. */
async function chapters(page) {
  await page.click('#files a[data-id="talk.mp3"]');
  await until(page, () => document.querySelectorAll('#chapters-list button').length === 2);
  await until(page, () => document.getElementById('cover').naturalWidth && document.querySelector('#files .thumb').naturalWidth);
  const names = await page.$$eval('#chapters-list button', (all) => all.map((each) => each.textContent));
  await page.click('#chapters-list li:last-child button');
  await until(page, () => document.getElementById('out-url').value.includes('talk.mp3?t='));
  return { names, url: await valueOf(page, '#out-url') };
}

/** Wait until one file has been downloaded whole; Firefox writes others meanwhile. */
async function downloaded() {
  for (const end = Date.now() + PATIENCE; Date.now() < end; ) {
    const names = fs.readdirSync(downloads);
    if (names.length === 1 && !names[0].endsWith('.part') && fs.statSync(`${downloads}/${names[0]}`).size) return;
    await new Promise((done) => setTimeout(done, 200));
  }
  throw new Error(`nothing was downloaded: ${fs.readdirSync(downloads)}`);
}

async function main() {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: program,
    headless: true,
    timeout: 2 * PATIENCE,
    protocolTimeout: 2 * PATIENCE,
    extraPrefsFirefox: { 'browser.download.folderList': 2, 'browser.download.dir': downloads, 'media.volume_scale': '0.0' },
  });
  try {
    const page = await browser.newPage();
    await page.setViewport({ width: 1280, height: 900 });
    const complaints = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => {
      if (['error', 'warn'].includes(message.type())) complaints.push(message.text());
    });
    await page.goto(`${server}/`, { timeout: PATIENCE });
    const seen = { search: await search(page), transcript: await transcript(page), chapters: await chapters(page) };
    await downloaded();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    process.stdout.write(JSON.stringify({ ...seen, wide, complaints, version: await browser.version() }));
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
