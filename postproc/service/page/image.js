// How an image reaches the page: chosen, dropped anywhere, or pasted.

/** Call `onFile` with each file that a person gives, `onProblem` with what is wrong in words. */
export function listenForImages({ input, zone, onFile, onProblem }) {
  const take = (files, what) => {
    const file = [...files].find(({ type }) => type.startsWith("image/")) ?? files[0];
    if (!file) onProblem(`There is no image file in what was ${what}.`);
    else onFile(file);
  };
  input.addEventListener("change", () => {
    if (input.files.length) take(input.files, "chosen");
    input.value = ""; // so that the same file may be chosen again; the page shows its name
  });

  let depth = 0; // dragenter and dragleave come for every element on the way
  const mark = (change) => {
    depth = change === null ? 0 : Math.max(0, depth + change);
    zone.classList.toggle("is-over", depth > 0);
  };
  const bringsFile = ({ dataTransfer }) => dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => bringsFile(event) && mark(1));
  addEventListener("dragleave", (event) => bringsFile(event) && mark(-1));
  addEventListener("dragover", (event) => event.preventDefault()); // else the browser opens the file itself
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark(null);
    take(event.dataTransfer.files, "dropped");
  });

  addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) {
      event.preventDefault();
      take(event.clipboardData.files, "pasted");
    } else if (!event.target.closest?.("input, textarea")) {
      onProblem("There is no image in the clipboard.");
    }
  });
}
