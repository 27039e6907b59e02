// The labels of an output, each with its count or score and the slider of its threshold.

import { css, labelColor } from "./colors.js";
import { make } from "./dom.js";
import { isPredicted } from "./results.js";

const STEP = 0.005;
const clamped = (value) => Math.min(1, Math.max(0, value));
/** A threshold as people write it: no trailing zeros. */
export const shortNumber = (value) => String(Number(value.toFixed(6)));

/** The list of one output; `onChange` is called at every move of a slider. */
export class LabelList {
  constructor(output, onChange) {
    this.output = output;
    this.onChange = onChange;
    const found = new Map();
    for (const hypothesis of output.hypotheses) {
      const { label } = hypothesis;
      if (!found.has(label)) found.set(label, []);
      found.get(label).push(hypothesis);
    }
    // Boxes in the order of the spec; a classification's labels best first, as they come.
    const labels = [...found.keys()];
    if (output.isDetection) labels.sort((a, b) => a.row - b.row);
    this.rows = labels.map((label) => this.#row(label, found.get(label)));
    this.element = make("ul", { className: "label-list" }, ...this.rows.map(({ element }) => element));
    const others = output.labels.length - labels.length;
    this.others = others && output.isDetection
      ? `${others} other ${others === 1 ? "label" : "labels"} of the spec: no box, however low the score.` : "";
    this.refresh();
  }

  /** Show the thresholds and what is above them. */
  refresh() {
    for (const row of this.rows) this.#show(row);
  }

  reset() {
    for (const { label } of this.rows) label.threshold = label.own;
    this.refresh();
  }

  /** Whether a slider stands where the service returned nothing any more. */
  get isBelowDiscarded() {
    const { discardThreshold } = this.output;
    return discardThreshold !== null &&
      this.rows.some(({ label }) => label.threshold < Math.min(discardThreshold, label.own));
  }

  #row(label, hypotheses) {
    const id = `threshold-${++made}`;
    const count = make("span", { className: "count" });
    const slider = make("input", { type: "range", id, min: 0, max: 1, step: STEP, title: "Double-click: the version's own" });
    const number = make("input", { type: "number", min: 0, max: 1, step: STEP,
      aria: { label: `Threshold of ${label.name}, as a number` } });
    const reset = make("button", { className: "reset", textContent: "↺",
      title: `Back to ${shortNumber(label.own)}`, aria: { label: `Reset the threshold of ${label.name}` } });
    const swatch = make("span", { className: "swatch", aria: { hidden: "true" } });
    swatch.style.backgroundColor = css(labelColor(label.row));
    const row = {
      label, hypotheses, count, slider, number, reset,
      element: make("li", { data: { label: label.name } },
        make("label", { htmlFor: id, className: "name" }, swatch, make("span", { textContent: label.name })),
        count,
        make("div", { className: "track" }, this.#scores(label, hypotheses), slider),
        number, reset),
    };
    const move = (value) => {
      label.threshold = value;
      this.#show(row);
      this.onChange();
    };
    slider.addEventListener("input", () => move(slider.valueAsNumber));
    number.addEventListener("input", () => Number.isNaN(number.valueAsNumber) || move(clamped(number.valueAsNumber)));
    number.addEventListener("change", () => this.#show(row)); // tidies what was typed
    for (const [element, kind] of [[slider, "dblclick"], [reset, "click"]]) {
      element.addEventListener(kind, () => move(label.own));
    }
    return row;
  }

  /** Where the scores lie beside the slider: a tick for each box, or a classification's bar. */
  #scores(label, hypotheses) {
    const color = css(labelColor(label.row));
    const marks = hypotheses.slice(0, 200).map(({ score }) => {
      const mark = make("i");
      mark.style[this.output.isDetection ? "left" : "width"] = `${100 * clamped(score)}%`;
      mark.style.backgroundColor = color;
      return mark;
    });
    return make("div", { className: this.output.isDetection ? "ticks" : "bar", aria: { hidden: "true" } }, ...marks);
  }

  #show({ label, hypotheses, count, slider, number, reset, element }) {
    const above = hypotheses.filter(isPredicted).length;
    count.textContent = this.output.isDetection ? `${above} of ${hypotheses.length}`
      : `${hypotheses[0].score.toFixed(3)}${above ? " ✓" : ""}`;
    element.dataset.count = above;
    element.classList.toggle("is-absent", above === 0);
    slider.value = label.threshold;
    slider.setAttribute("aria-valuetext", `${shortNumber(label.threshold)}, ${above} above`);
    if (number !== document.activeElement || number.valueAsNumber !== label.threshold) {
      number.value = shortNumber(label.threshold);
    }
    reset.disabled = label.threshold === label.own;
  }
}

let made = 0; // numbers the ids of sliders
