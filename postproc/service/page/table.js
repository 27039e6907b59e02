// The table of what is above the thresholds; arrow keys go from row to row.

import { css, labelColor } from "./colors.js";
import { make } from "./dom.js";
import { shortNumber } from "./labels.js";

const MOST_ROWS = 300;

export class Table {
  #rows = new Map();

  /** `onPoint` is called with the hypothesis that a person points at or moves to, and with null. */
  constructor(table, body, note, onPoint) {
    Object.assign(this, { table, body, note, onPoint });
    body.addEventListener("pointerover", ({ target }) => onPoint(this.#hypothesis(target)));
    body.addEventListener("pointerleave", () => onPoint(null));
    body.addEventListener("focusin", ({ target }) => onPoint(this.#hypothesis(target)));
    body.addEventListener("focusout", () => onPoint(null));
    body.addEventListener("keydown", (event) => this.#walk(event));
  }

  /** Fill the table; `size` is the image's, in pixels. */
  fill(hypotheses, { width, height }) {
    this.#rows = new Map(hypotheses.slice(0, MOST_ROWS).map((hypothesis) => [hypothesis, row(hypothesis, width, height)]));
    this.body.replaceChildren(...this.#rows.values());
    this.table.classList.toggle("without-boxes", !hypotheses.some(({ document }) => document.roi));
    const first = this.body.firstElementChild;
    if (first) first.tabIndex = 0; // one stop for the Tab key; arrows do the rest
    this.note.textContent = hypotheses.length === 0 ? "Nothing is above its threshold."
      : hypotheses.length > MOST_ROWS ? `The best ${MOST_ROWS} of ${hypotheses.length}; the JSON has them all.` : "";
  }

  /** Mark the row of a hypothesis, and bring it into view if asked to. */
  highlight(hypothesis, scroll) {
    for (const marked of this.body.querySelectorAll(".is-marked")) marked.classList.remove("is-marked");
    const found = this.#rows.get(hypothesis);
    found?.classList.add("is-marked");
    if (found && scroll) {
      // Within the table's own scrolling box: the page itself must not jump under the pointer.
      const box = this.table.parentElement;
      const head = this.table.tHead.offsetHeight;
      if (found.offsetTop < box.scrollTop + head) box.scrollTop = found.offsetTop - head;
      const end = found.offsetTop + found.offsetHeight;
      if (end > box.scrollTop + box.clientHeight) box.scrollTop = end - box.clientHeight;
    }
  }

  #hypothesis(target) {
    const at = target.closest("tr");
    return [...this.#rows].find(([, element]) => element === at)?.[0] ?? null;
  }

  #walk(event) {
    const at = event.target.closest("tr");
    const to = { ArrowDown: at?.nextElementSibling, ArrowUp: at?.previousElementSibling }[event.key];
    if (!to) return;
    event.preventDefault();
    at.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  }
}

function row({ label, score, document: { roi } }, width, height) {
  const swatch = make("span", { className: "swatch", aria: { hidden: "true" } });
  swatch.style.backgroundColor = css(labelColor(label.row));
  const { bbox } = roi ?? {};
  const sides = bbox ? [bbox.xmin * width, bbox.ymin * height, bbox.xmax * width, bbox.ymax * height] : [];
  return make("tr", { tabIndex: -1 },
    make("th", { scope: "row" }, swatch, label.name),
    make("td", { textContent: score.toFixed(3) }),
    make("td", { textContent: shortNumber(label.threshold) }),
    ...[0, 1, 2, 3].map((side) =>
      make("td", { className: "box", textContent: sides[side]?.toFixed(1) ?? "" })));
}
