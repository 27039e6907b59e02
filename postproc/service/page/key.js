// The API key: typed, or brought once by the address, and kept as long as the person wants.

const NAME = "postproc-api-key";

/** The storage, or null where the browser forbids it: then a key lasts as long as the page. */
function storage(name) {
  try {
    return window[name];
  } catch {
    return null;
  }
}

export function storedKey() {
  const kept = storage("localStorage")?.getItem(NAME);
  const key = kept ?? storage("sessionStorage")?.getItem(NAME) ?? "";
  return { key, isRemembered: kept !== null && kept !== undefined };
}

export function storeKey(key, isRemembered) {
  for (const name of ["localStorage", "sessionStorage"]) storage(name)?.removeItem(NAME);
  if (key) storage(isRemembered ? "localStorage" : "sessionStorage")?.setItem(NAME, key);
}

/** Take `#key=...` out of the address, so that it stays neither there nor in the history. */
export function keyFromAddress() {
  const found = new URLSearchParams(location.hash.slice(1)).get("key");
  if (found !== null) history.replaceState(null, "", location.pathname + location.search);
  return found;
}
