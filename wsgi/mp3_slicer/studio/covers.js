/**
 * Pictures of files in lists: of a fixed size, so that nothing moves when one comes, and fetched when it comes into view.
 */

/** Pixels of a side, as in the style sheet. */
const SIDE = 40;

/** Show the picture of a file in the link to it; {cover} is its URL, null without one. */
export function picture(link, { cover }) {
  if (!cover?.startsWith?.('/covers/')) return;
  // Before the address, which browsers begin to fetch at once otherwise.
  const image = Object.assign(new Image(SIDE, SIDE), { className: 'thumb', alt: '', loading: 'lazy', decoding: 'async' });
  // It may be gone since the catalogue was built. Its place stays.
  image.addEventListener('error', () => image.classList.add('gone'));
  image.src = cover;
  link.prepend(image);
}

/** Leave room for pictures in a list, if any of its files has one. */
export function makeRoom(list) {
  list.classList.toggle('pictured', list.querySelector('.thumb') !== null);
}
