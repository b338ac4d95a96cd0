/**
 * Canvases that fit their place on the screen, sharp at any pixel ratio, and the style sheet's colours for them.
 *
 * Sizes and colours are remembered until they change: asking the browser in the middle of a drawing makes it lay out the page.
 */

const sizes = new WeakMap();
const colours = new Map();
const observer = new ResizeObserver((entries) => {
  for (const { target } of entries) sizes.set(target, measure(target));
});
// This file is read before all others that draw, so they are told of a change after this.
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => colours.clear());

/** [width, height] of an element inside its border, in CSS pixels. */
export function sizeOf(element) {
  let size = sizes.get(element);
  if (!size) {
    size = measure(element);
    sizes.set(element, size);
    observer.observe(element);
  }
  return size;
}

/** Fit a canvas to its size on the page, cleared; [context, width, height] in CSS pixels. */
export function fit(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = sizeOf(canvas);
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return [context, width, height];
}

/** A colour of the style sheet. */
export function colour(name) {
  if (!colours.has(name)) colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  return colours.get(name);
}

function measure(element) {
  return [element.clientWidth, element.clientHeight];
}
