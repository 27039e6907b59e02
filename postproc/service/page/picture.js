// Boxes on a canvas over the image.

import { css, isLight, labelColor } from "./colors.js";

const TAG = { font: "600 12px system-ui, sans-serif", height: 17, padding: 4, longest: 28 };
const MOST_TAGS = 400; // beyond it nobody reads them, and placing them takes long
const LINE = 2, HALO = 4;

export class Picture {
  #shown = [];

  constructor(stage, image, canvas) {
    Object.assign(this, { stage, image, canvas, context: canvas.getContext("2d") });
  }

  /** Show an image file; rejects if the browser cannot decode it. */
  async load(file) {
    const url = URL.createObjectURL(file);
    const probe = new Image();
    probe.src = url;
    try {
      await probe.decode();
    } catch {
      URL.revokeObjectURL(url);
      throw new Error(`This browser cannot show ${file.name || "this file"} as an image; ` +
        "PNG, JPEG, WebP, GIF, BMP and AVIF files work.");
    }
    URL.revokeObjectURL(this.image.src);
    this.image.src = url;
    this.image.alt = file.name;
    this.size = { width: probe.naturalWidth, height: probe.naturalHeight };
    this.#shown = [];
  }

  /** Fit the image into the space there is; a small one is enlarged, not beyond what one can see. */
  fit(width, height) {
    const { size } = this;
    const scale = Math.min(width / size.width, height / size.height, Math.max(2, 640 / size.width));
    const css = { width: Math.round(size.width * scale), height: Math.round(size.height * scale) };
    this.stage.style.width = `${css.width}px`;
    this.stage.style.height = `${css.height}px`;
    this.stage.classList.toggle("is-enlarged", scale > 2);
    // As many canvas pixels as the screen has.
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(css.width * ratio);
    this.canvas.height = Math.round(css.height * ratio);
    this.context.setTransform(this.canvas.width / css.width, 0, 0, this.canvas.height / css.height, 0, 0);
    this.css = css;
  }

  /** Draw detections; one of them may be set off from the others. */
  draw(hypotheses, highlighted = null) {
    const { context, css: { width, height } } = this;
    this.#shown = hypotheses;
    context.clearRect(0, 0, width, height);
    // The best last, on top; the highlighted above all, and it alone with a tag.
    const others = hypotheses.filter((hypothesis) => hypothesis !== highlighted).reverse();
    context.globalAlpha = highlighted ? 0.35 : 1;
    for (const hypothesis of others) this.#outline(hypothesis, false);
    context.globalAlpha = 1;
    if (highlighted) this.#outline(highlighted, true);
    const tagged = highlighted ? [highlighted] : hypotheses.slice(0, MOST_TAGS);
    for (const tag of this.#place(tagged).reverse()) this.#tag(tag);
  }

  /** The smallest shown box at a point of the canvas, in CSS pixels. */
  at(x, y) {
    let best = null, least = Infinity;
    for (const hypothesis of this.#shown) {
      const { left, top, right, bottom } = this.#corners(hypothesis);
      const area = (right - left) * (bottom - top);
      const margin = LINE;
      if (x >= left - margin && x <= right + margin && y >= top - margin && y <= bottom + margin && area < least) {
        [best, least] = [hypothesis, area];
      }
    }
    return best;
  }

  #corners({ document: { roi: { bbox } } }) {
    const { width, height } = this.css;
    return { left: bbox.xmin * width, top: bbox.ymin * height, right: bbox.xmax * width, bottom: bbox.ymax * height };
  }

  #path(points) {
    const { width, height } = this.css;
    const path = new Path2D();
    points.forEach(({ x, y }, index) => path[index ? "lineTo" : "moveTo"](x * width, y * height));
    path.closePath();
    return path;
  }

  #outline(hypothesis, isHighlighted) {
    const { context } = this;
    const { roi } = hypothesis.document;
    const color = labelColor(hypothesis.label.row);
    const { left, top, right, bottom } = this.#corners(hypothesis);
    const box = new Path2D();
    box.rect(left, top, right - left, bottom - top);
    const shapes = roi.polygon ? [this.#path(roi.polygon)] : (roi.polygons ?? []).map((ring) => this.#path(ring));
    const fill = isHighlighted ? 0.3 : roi.polygons ? 0.25 : 0;
    if (fill) {
      context.fillStyle = css(color, fill);
      for (const shape of shapes.length ? shapes : [box]) context.fill(shape);
    }
    for (const path of roi.polygon ? shapes : [box, ...shapes]) this.#line(path, color, isHighlighted ? 2 : 0);
    for (const { x, y, score = 1 } of roi.keypoints ?? []) this.#dot(x, y, color, score > 0.5);
  }

  /** A line that shows on any picture: a halo, dark around light colours and light around dark ones. */
  #line(path, color, wider) {
    const { context } = this;
    context.lineJoin = "round";
    context.strokeStyle = isLight(color) ? "rgb(0 0 0 / 0.65)" : "rgb(255 255 255 / 0.75)";
    context.lineWidth = HALO + wider;
    context.stroke(path);
    context.strokeStyle = css(color);
    context.lineWidth = LINE + wider;
    context.stroke(path);
  }

  #dot(x, y, color, isSure) {
    const { context, css: { width, height } } = this;
    const path = new Path2D();
    path.arc(x * width, y * height, 3, 0, 2 * Math.PI);
    this.#line(path, color, 0);
    context.fillStyle = css(color);
    if (isSure) context.fill(path);
  }

  /** Find a place for each tag: on its box's edge, else where it covers no tag of a better hypothesis. */
  #place(hypotheses) {
    const { context, css: { width, height } } = this;
    context.font = TAG.font;
    const placed = [];
    for (const hypothesis of hypotheses) {
      const { left, top, right, bottom } = this.#corners(hypothesis);
      const text = tagText(hypothesis);
      const tag = { hypothesis, text, width: context.measureText(text).width + 2 * TAG.padding, height: TAG.height };
      const edge = HALO / 2;
      const atLeft = left - edge, atRight = right + edge - tag.width;
      const above = top - edge - tag.height, below = bottom + edge;
      const places = [[atLeft, above], [atRight, above], [atLeft, below], [atRight, below],
        [left, top], [left, bottom - tag.height]]
        .map(([x, y]) => [Math.max(0, Math.min(x, width - tag.width)), y])
        .filter(([, y]) => y >= 0 && y + tag.height <= height);
      const isFree = ([x, y]) => placed.every((other) =>
        x >= other.x + other.width || x + tag.width <= other.x || y >= other.y + other.height || y + tag.height <= other.y);
      const [x, y] = places.find(isFree) ?? places[0] ?? [Math.max(0, left), Math.max(0, top)];
      placed.push({ ...tag, x, y });
    }
    return placed;
  }

  #tag({ hypothesis, text, x, y, width, height }) {
    const { context } = this;
    const color = labelColor(hypothesis.label.row);
    context.fillStyle = css(color);
    context.fillRect(x, y, width, height);
    context.font = TAG.font;
    context.textBaseline = "middle";
    context.fillStyle = isLight(color) ? "#000" : "#fff";
    context.fillText(text, x + TAG.padding, y + height / 2 + 0.5);
  }
}

function tagText({ label: { name }, score }) {
  const letters = [...name];
  const short = letters.length > TAG.longest ? `${letters.slice(0, TAG.longest - 1).join("")}…` : name;
  return `${short} ${score.toFixed(2)}`;
}
