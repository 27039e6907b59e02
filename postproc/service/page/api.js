// The v0.7 API, as far as the page uses it.

import { pause } from "./dom.js";
import { parse } from "./results.js";

export const MOST_PREDICTIONS = 2000;
const MOST_TRIES = 8;
const PAGE_LENGTH = 1000;

export class ApiError extends Error {
  /** `status` 0: the request never arrived, or its answer. */
  constructor(message, status, retryAfter = null) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export class Api {
  constructor(key) {
    this.key = key;
    this.base = new URL("v0.7/", document.baseURI);
  }

  /** All versions that a person may choose: `{path, name, group}`. */
  async choices() {
    const [own, shared] = await Promise.all([
      this.#list("recognition/versions/"),
      this.#list("recognition/public/"),
    ]);
    return [
      ...own.map(({ id, spec_name: spec, network_name: network }) => ({
        path: `recognition/versions/${encodeURIComponent(id)}`,
        name: `${spec} (${network}, version ${id})`,
        group: "Your versions",
      })),
      ...shared.map(({ id, name }) => ({
        path: `recognition/public/${encodeURIComponent(id)}`,
        name: name || String(id),
        group: "Demo",
      })),
    ];
  }

  /** The spec and the whole version of a choice. */
  async describe({ path }, signal) {
    if (path.startsWith("recognition/versions/")) {
      const version = await this.#request(`${path}/`, { signal });
      const spec = await this.#request(`recognition/specs/${encodeURIComponent(version.spec_id)}/`, { signal });
      return { spec, version };
    }
    const spec = await this.#request(`${path}/`, { signal });
    const current = encodeURIComponent(spec.current_version_id);
    return { spec, version: await this.#request(`recognition/versions/${current}/`, { signal }) };
  }

  /** Run a version on an image and return the data of the finished task; `onProgress` is told what happens. */
  async run({ path }, image, { signal, onProgress }) {
    const form = new FormData();
    form.append("inputs[0]image.source", image, image.name || "image");
    form.append("show_discarded", "True");
    form.append("max_predictions", String(MOST_PREDICTIONS));
    onProgress("Sending the image");
    const { task_id: id } = await this.#patiently(
      () => this.#request(`${path}/inference`, { method: "POST", body: form, signal }), signal, onProgress);
    onProgress("The network is running");
    for (let wait = 0.05; ; wait = Math.min(1, 1.5 * wait)) {
      const task = await this.#request(`tasks/${encodeURIComponent(id)}/`, { signal });
      if (task.status === "success") return task.data;
      if (task.status === "error") throw new ApiError(`The task failed: ${task.error}`, 200);
      await pause(wait, signal);
    }
  }

  /** Send again while the service says that it is busy, when it says so. */
  async #patiently(send, signal, onProgress) {
    for (let tries = 1; ; tries++) {
      try {
        return await send();
      } catch (error) {
        if (error.status !== 503 || tries === MOST_TRIES) throw error;
        for (let left = error.retryAfter ?? 1; left > 0; left--) {
          onProgress(`The service is busy; trying again in ${left} s`);
          await pause(1, signal);
        }
        onProgress("Sending the image again");
      }
    }
  }

  async #list(path) {
    const rows = [];
    for (;;) {
      const { count, results } = await this.#request(`${path}?offset=${rows.length}&limit=${PAGE_LENGTH}`);
      rows.push(...results);
      if (results.length === 0 || rows.length >= count) return rows;
    }
  }

  async #request(path, options = {}) {
    const { signal } = options;
    let response, text;
    try {
      const headers = { Accept: "application/json", "X-API-KEY": this.key };
      response = await fetch(new URL(path, this.base), { ...options, headers, cache: "no-store" });
      text = await response.text();
    } catch {
      signal?.throwIfAborted();
      throw new ApiError(
        "The service cannot be reached, or it broke the connection. Is it running? " +
          (options.body ? "An image that is far too large ends like this too." : ""), 0);
    }
    let body = null;
    try {
      body = parse(text);
    } catch {
      if (response.ok) throw new ApiError("The service's answer is not JSON; is this address the service's?", 0);
    }
    if (response.ok) return body;
    const seconds = Math.ceil(Number(response.headers.get("Retry-After")));
    throw new ApiError(inPlainWords(response.status, body?.error?.message ?? body?.detail), response.status,
      seconds > 0 ? Math.min(seconds, 60) : null);
  }
}

function inPlainWords(status, message) {
  const because = message ? ` (${message})` : "";
  if (status === 401 || status === 403) return `The service does not know this API key${because}.`;
  if (status === 404) return `This no longer exists; reload the page${because}.`;
  if (status === 413) return `The image is too large${because}.`;
  if (status === 503) return `The service is too busy; try again later${because}.`;
  if (status >= 500) return `The service failed with status ${status}${because}.`;
  return `The service refused the request: ${message ?? `status ${status}`}`;
}
