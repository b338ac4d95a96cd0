/**
 * Copying text, on pages without TLS too, where browsers have no clipboard interface.
 */

/** Copy what a text field holds; whether it worked. */
export async function copyFrom(field) {
  if (navigator.clipboard && window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(field.value);
      return true;
    } catch {
      // Not allowed: the old way may be.
    }
  }
  field.focus();
  field.select();
  return document.execCommand('copy');
}
