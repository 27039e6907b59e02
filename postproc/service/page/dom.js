// Small helpers. Text reaches the page through textContent only.

export const byId = (id) => document.getElementById(id);

/** Make an element: properties are assigned, `data` and `aria` become attributes, texts stay texts. */
export function make(tag, { data = {}, aria = {}, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(`aria-${name}`, value);
  element.append(...children);
  return element;
}

/** Put text where a person looks, and hide the place when there is none. */
export function say(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

/** Copy text; where the clipboard API is missing (plain http) or refuses, by way of a selection. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = make("textarea", { value: text, readOnly: true, className: "offscreen" });
    const focused = document.activeElement;
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    focused?.focus();
    if (!copied) throw new Error("The browser refuses to copy; select the text by hand.");
  }
}

/** Wait; an aborted signal ends the wait with its reason. */
export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, 1000 * seconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
