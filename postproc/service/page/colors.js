// A label's colour, by its row in the spec: the same as in postproc.images.drawing's pictures.

const PALETTE = [
  [230, 25, 75], [0, 110, 220], [40, 160, 60], [245, 130, 48], [145, 30, 180], [255, 225, 25],
  [0, 190, 200], [240, 50, 230], [150, 90, 30], [130, 220, 30], [128, 0, 0], [0, 0, 140],
  [250, 170, 190], [110, 110, 0], [190, 160, 255], [0, 100, 90],
];

/** Red, green and blue, 0 to 255. */
export function labelColor(row) {
  if (row < PALETTE.length) return PALETTE[row];
  const hue = (row * 0.6180339887498949) % 1; // the golden ratio: any run of rows is spread over all hues
  return fromHsv(hue, [0.9, 0.55, 0.75][row % 3], [0.95, 0.85, 0.6][row % 3]);
}

function fromHsv(hue, saturation, value) {
  return [5, 3, 1].map((shift) => {
    const k = (shift + 6 * hue) % 6;
    return Math.round(255 * value * (1 - saturation * Math.max(0, Math.min(k, 4 - k, 1))));
  });
}

export const css = ([red, green, blue], opacity = 1) => `rgb(${red} ${green} ${blue} / ${opacity})`;

/** Whether black text reads better on a colour than white. */
export const isLight = ([red, green, blue]) => 0.299 * red + 0.587 * green + 0.114 * blue > 140;
