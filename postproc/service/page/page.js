// The page: what a person does, and what follows from it.

import { Api, MOST_PREDICTIONS } from "./api.js";
import { byId, copyText, make, say } from "./dom.js";
import { listenForImages } from "./image.js";
import { keyFromAddress, storedKey, storeKey } from "./key.js";
import { LabelList } from "./labels.js";
import { Picture } from "./picture.js";
import { isPredicted, readOutputs, resultDocument, stringify, thresholds } from "./results.js";
import { Table } from "./table.js";

const LONGEST_SHOWN = 100_000; // characters of JSON: more makes a browser slow, and is for the Copy button

const picture = new Picture(byId("stage"), byId("image"), byId("boxes"));
const table = new Table(byId("table"), byId("rows"), byId("table-note"), (hypothesis) => highlight(hypothesis));
let api = new Api("");
let choices = [];
let file = null;
let outputs = null; // of readOutputs, while a result is shown
let lists = [];
let highlighted = null;
let running = null; // AbortController of what runs

const shown = () => outputs.flatMap(({ hypotheses }) => hypotheses.filter(isPredicted));
const boxed = (hypotheses) => hypotheses.filter(({ document }) => document.roi);
const choice = () => choices[byId("version").selectedIndex];

/** empty, ready (an image, no result), loading, result or error. */
function setState(state) {
  document.body.dataset.state = state;
  byId("loading").hidden = state !== "loading";
  byId("image").toggleAttribute("aria-busy", state === "loading");
  byId("run").disabled = !file || !choice() || state === "loading";
  byId("sample").disabled = !choice() || state === "loading";
}

function fail(error, isWorthTrying = false) {
  if (!(error instanceof Error)) throw error;
  say(byId("problem-text"), error.message);
  byId("problem").hidden = false;
  byId("again").hidden = !isWorthTrying;
  setState("error");
}

function forgetResult() {
  running?.abort();
  outputs = highlighted = null;
  byId("rows").replaceChildren();
  byId("problem").hidden = byId("labels").hidden = byId("answers").hidden = true;
  if (picture.size) fit();
  setState(file ? "ready" : "empty");
}

// --- the key and the versions

async function useKey(key, isRemembered) {
  choices = [];
  forgetResult();
  storeKey(key, isRemembered);
  api = new Api(key);
  const asked = api;
  const select = byId("version");
  say(byId("key-problem"), "");
  let found = [], problem = key ? "" : "Enter an API key: the service prints one at its first start, and “postproc keys add” makes more.";
  if (key) {
    select.replaceChildren(make("option", { textContent: "Loading the versions…" }));
    try {
      found = await api.choices();
    } catch (error) {
      problem = error.message;
    }
  }
  if (asked !== api) return; // another key came meanwhile
  choices = found;
  select.disabled = choices.length === 0;
  const empty = problem ? "No versions without a key" : "There are no versions yet";
  select.replaceChildren(...(choices.length ? grouped(choices) : [make("option", { textContent: empty })]));
  say(byId("key-problem"), problem);
  byId("key-problem").className = key ? "problem" : "note"; // nobody did anything wrong yet
  byId("key").setAttribute("aria-invalid", String(Boolean(key && problem)));
  setState(document.body.dataset.state); // an image may have come meanwhile: only what can be pressed changes
}

function grouped(items) {
  return [...new Set(items.map(({ group }) => group))].map((group) =>
    make("optgroup", { label: group }, ...items.filter((item) => item.group === group)
      .map(({ name }) => make("option", { textContent: name }))));
}

// --- the image

async function useImage(chosen) {
  try {
    await picture.load(chosen);
  } catch (error) {
    return fail(error);
  }
  file = chosen;
  byId("drop").hidden = true;
  byId("stage").hidden = false;
  forgetResult();
  say(byId("caption"), `${chosen.name || "Pasted image"}, ${picture.size.width} × ${picture.size.height} pixels`);
}

async function useSample() {
  try {
    const { spec } = await api.describe(choice());
    const isDigit = spec.outputs.every(({ labels }) => labels.roi === "NONE");
    const name = isDigit ? "sample_digit.png" : "sample_page.jpg";
    const response = await fetch(`page/${name}`);
    if (!response.ok) throw new Error((await response.json()).detail);
    const content = await response.blob();
    await useImage(new File([content], name.replace("_", " "), { type: content.type }));
  } catch (error) {
    return fail(error);
  }
  await run();
}

function fit() {
  const isNarrow = matchMedia("(max-width: 900px)").matches;
  picture.fit(byId("picture").clientWidth, document.documentElement.clientHeight * (isNarrow ? 0.5 : 0.78));
  picture.draw(outputs ? boxed(shown()) : [], highlighted);
}

// --- the result

async function run() {
  forgetResult();
  const { signal } = (running = new AbortController());
  setState("loading");
  const onProgress = (text) => say(byId("loading-text"), text);
  onProgress("Reading the version");
  try {
    const { spec, version } = await api.describe(choice(), signal);
    const data = await api.run(choice(), file, { signal, onProgress });
    showResult(readOutputs(spec, version, data, MOST_PREDICTIONS));
  } catch (error) {
    if (!signal.aborted) fail(error, true);
  }
}

function showResult(read) {
  outputs = read;
  lists = outputs.map((output) => new LabelList(output, refresh));
  byId("label-lists").replaceChildren(...lists.flatMap(({ element, others }, index) => [
    ...(lists.length > 1 ? [make("h3", { textContent: `Output ${index + 1}` })] : []),
    element,
    ...(others ? [make("p", { className: "caption", textContent: others })] : []),
  ]));
  byId("copy-thresholds").replaceChildren(...outputs.map((output, index) => {
    const which = outputs.length > 1 ? ` of output ${index + 1}` : "";
    const button = make("button", { textContent: `Copy thresholds${which}`, data: { output: index } });
    button.addEventListener("click", () => copy(JSON.stringify(thresholds(output)), `thresholds${which}`));
    return button;
  }));
  byId("labels").hidden = byId("answers").hidden = false;
  say(byId("copied"), "");
  setState("result");
  fit();
  refresh();
}

/** Show what is above the thresholds as they stand. */
function refresh() {
  const visible = shown();
  if (highlighted && !visible.includes(highlighted)) highlighted = null;
  picture.draw(boxed(visible), highlighted);
  table.fill(visible, picture.size);
  table.highlight(highlighted);
  const text = stringify(resultDocument(outputs));
  byId("json").textContent = text.length > LONGEST_SHOWN
    ? `${text.slice(0, LONGEST_SHOWN)}\n… ${text.length - LONGEST_SHOWN} more characters: Copy has them all` : text;
  byId("boxes").dataset.count = boxed(visible).length;
  byId("boxes").setAttribute("aria-label", `${boxed(visible).length} boxes that were found`);
  byId("notes").replaceChildren(...notes().map((note) => make("p", { className: "note", textContent: note })));
}

function* notes() {
  for (const { approximation } of outputs) {
    if (approximation) {
      yield `This version ${approximation}: at other thresholds than its own, what you see is an approximation of ` +
        "what the service would find.";
    }
  }
  if (outputs.some(({ isCut }) => isCut)) {
    yield `The service found more than the ${MOST_PREDICTIONS} best that it was asked for; the lowest scores are missing.`;
  }
  for (const { isBelowDiscarded, output } of lists) {
    if (isBelowDiscarded) {
      yield `The service returns nothing that scores ${output.discardThreshold} or less (the version's discard threshold).`;
    }
  }
}

function highlight(hypothesis, scroll = false) {
  if (hypothesis === highlighted || !outputs) return;
  highlighted = hypothesis;
  picture.draw(boxed(shown()), hypothesis?.document.roi ? hypothesis : null);
  table.highlight(hypothesis, scroll);
}

async function copy(text, what) {
  try {
    await copyText(text);
    say(byId("copied"), `Copied: ${what}.`);
  } catch (error) {
    say(byId("copied"), error.message);
  }
}

// --- what a person does

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key").value.trim(), byId("remember").checked);
});
byId("remember").addEventListener("change", () => storeKey(api.key, byId("remember").checked));
byId("version").addEventListener("change", forgetResult);
byId("run").addEventListener("click", run);
byId("again").addEventListener("click", run);
byId("sample").addEventListener("click", useSample);
byId("cancel").addEventListener("click", forgetResult);
byId("reset-all").addEventListener("click", () => {
  for (const list of lists) list.reset();
  refresh();
});
byId("copy-json").addEventListener("click", () => copy(stringify(resultDocument(outputs)), "the JSON"));
byId("boxes").addEventListener("pointermove", ({ offsetX, offsetY }) => highlight(picture.at(offsetX, offsetY), true));
byId("boxes").addEventListener("pointerdown", ({ offsetX, offsetY }) => highlight(picture.at(offsetX, offsetY), true));
byId("boxes").addEventListener("pointerleave", () => highlight(null));
listenForImages({
  input: byId("file"), zone: document.body, onFile: useImage, onProblem: (text) => fail(new Error(text)),
});
new ResizeObserver(() => picture.size && fit()).observe(byId("picture"));
addEventListener("resize", () => picture.size && fit());
watchPixelRatio();

/** A window that moves to a screen with other pixels need not change its size. */
function watchPixelRatio() {
  matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener("change", () => {
    if (picture.size) fit();
    watchPixelRatio();
  }, { once: true });
}

function start() {
  const brought = keyFromAddress();
  const { key, isRemembered } = storedKey();
  byId("key").value = brought ?? key;
  byId("remember").checked = isRemembered;
  useKey(brought ?? key, isRemembered);
}
addEventListener("hashchange", () => location.hash.startsWith("#key=") && start());
start();
