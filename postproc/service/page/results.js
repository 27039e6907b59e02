// What the service found, and what of it is above the thresholds. Knows nothing of the page.

// The defaults of postproc's schema, of a version that leaves its thresholds out.
const DETECTION = 0.8, EXCLUSIVE = 0.025, TAGGING = 0.5, DISCARD = 0.025;

/**
 * Read the task's data: one object per output of the spec.
 *
 * labels: `{row, id, name, own, threshold}`, `own` being the version's threshold and `threshold` the slider's.
 * hypotheses: `{label, score, document}` by descending score; predicted and discarded together.
 */
export function readOutputs(spec, version, data, mostPredictions) {
  return data.outputs.map(({ labels: found }, index) => {
    const { labels: named, exclusive } = spec.outputs[index].labels;
    const { detection, classification } = version.post_processings[index];
    const task = detection ?? classification;
    const usual = detection ? DETECTION : exclusive ? EXCLUSIVE : TAGGING;
    const given = task.thresholds ?? usual;
    const labels = named.map(({ id, name }, row) => {
      const own = Array.isArray(given) ? given[row] : given;
      return { row, id, name, own, threshold: own };
    });
    const byId = new Map(labels.map((label) => [label.id, label]));
    const documents = [...found.predicted, ...found.discarded];
    return {
      isDetection: Boolean(detection),
      labels,
      hypotheses: inOrder(documents.map((document) =>
        ({ label: byId.get(document.label_id), score: document.score, document }))),
      discardThreshold: detection ? task.discard_threshold ?? DISCARD : null,
      isCut: documents.length >= mostPredictions,
      approximation: detection ? approximation(detection) : "",
    };
  });
}

/** Why other thresholds may give other boxes than those returned; empty if they cannot. */
function approximation({ nms_method: method, class_agnostic: agnostic }) {
  // Within a label, NMS goes from the best score down, and what it keeps depends on no lower score: a threshold
  // only says where to stop. That holds for soft NMS too, and where each box has one label.
  if (agnostic) return "merges boxes of different labels";
  if (method === "weighted") return "merges boxes into their weighted mean";
  return "";
}

/** The service's order: by descending score, then by label, then as they came. */
function inOrder(hypotheses) {
  return hypotheses.sort((a, b) => b.score - a.score || a.label.row - b.label.row);
}

/** postproc compares as float32: a score of 0.3 is not above a threshold of 0.3. */
export const isAbove = (score, threshold) => Math.fround(score) > Math.fround(threshold);

export const isPredicted = ({ label, score }) => isAbove(score, label.threshold);

/** The service's JSON as it would be at the thresholds of the sliders. */
export function resultDocument(outputs) {
  return {
    outputs: outputs.map(({ hypotheses, discardThreshold }) => {
      const predicted = hypotheses.filter(isPredicted);
      const discarded = hypotheses.filter((hypothesis) => !isPredicted(hypothesis)
        && (discardThreshold === null || isAbove(hypothesis.score, discardThreshold)));
      const regions = new Map(); // numbered from 1 in the order of the rows
      const written = ({ label, document }) => {
        const row = { ...document, threshold: label.threshold };
        if (document.roi) {
          const old = document.roi.region_id;
          if (!regions.has(old)) regions.set(old, regions.size + 1);
          row.roi = { ...document.roi, region_id: regions.get(old) };
        }
        return row;
      };
      return { labels: { predicted: predicted.map(written), discarded: discarded.map(written) } };
    }),
  };
}

/** The thresholds of an output as a version's document has them: one per label of the spec. */
export const thresholds = ({ labels }) => labels.map(({ threshold }) => threshold);

/** JSON.parse that keeps label ids beyond 2^53, where the browser can: as BigInt. */
export function parse(text) {
  return JSON.parse(text, (_, value, context) =>
    Number.isInteger(value) && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? BigInt(context.source) : value);
}

const FLOATS = new Set(["score", "threshold", "xmin", "ymin", "xmax", "ymax", "x", "y"]);

/** JSON whose scores and coordinates are floats to strict readers also where they are 0 or 1: `1.0`. */
export function stringify(value) {
  return JSON.stringify(value, (key, item) => {
    if (typeof item === "bigint") return JSON.rawJSON(String(item));
    return FLOATS.has(key) && Number.isInteger(item) && JSON.rawJSON ? JSON.rawJSON(`${item}.0`) : item;
  }, 2);
}
