// ---- slices of a report: what a slice narrows ------------------------------------------------

function startSlices() {
  showSlices({
    heads: data.slices.heads, places: [["Its images", "images-title"], ["Its confusion matrix", "confusion-title"]],
    sayNumber: ([text, value, low, high]) => `${text} ${three(value)}${low === null ? "" : ` (${three(low)} to ${three(high)})`}`,
  });
  if (galleries.filter) { addChip(byId("images-controls"), byId("images-title")); onSlice.push(drawGalleries); }
  if (matrix) { addChip(byId("confusion-controls"), byId("confusion-title")); onSlice.push(() => drawMatrix()); }
}

/** The matrix of the slice by the version's own rule; null where the page does not hold it. */
function entriesOfSlice() {
  const text = data.slices.matrices[sliced.row.id];
  return text === undefined ? null : decodeCells(text, labels.length + 1);
}

/** Whether the page holds all answers, so that a slice has a matrix at any threshold. */
const sliceFollows = () => Boolean(rows) && images.n === images.total && data.task === "classification" && data.rule === "top1";

/** The matrix of the slice at the threshold, of the answers that the page holds. */
function entriesOfSliceAt() {
  const percents = ownSteps.percents[placeOfStep()], width = labels.length + 1, counts = new Map();
  for (let r = 0; r < rows.n; r++) {
    if (rows.truth[r] < 0 || !isInSlice(rows.image[r])) continue;
    const isReached = rows.predicted[r] >= 0 && Math.floor(rows.confidence[r] / 1000) >= percents;
    const cell = rows.truth[r] * width + (isReached ? rows.predicted[r] : labels.length);
    counts.set(cell, (counts.get(cell) || 0) + 1);
  }
  const cells = [...counts.keys()];
  return { row: cells.map((cell) => Math.floor(cell / width)), column: cells.map((cell) => cell % width), n: cells.map((cell) => counts.get(cell)) };
}

function sayNoMatrix() {
  const n = data.slices.matrices.length;
  matrixGrid.clear(n ? `This page holds the confusion matrices of the first ${plural(n, "slice")} of the list, the worst ones; this slice is not one of them.` : "This page holds no confusion matrices of slices.");
  byId("confusion-lead").textContent = "";
  byId("matrix-most").replaceChildren();
  byId("matrix-note").textContent = "";
  matrixView = null;
}

const saySliceOfMatrix = () => `The ${plural(sliced.row.n, "image")} of the slice alone, by the version's own rule${state.matrix.by === "threshold" ? ": this page holds none of it at other thresholds, so the slider does not move it" : ""}. `;

/** How many there are of each outcome in the slice: by the version's rule from its matrix, else those on this page. */
function countInSlice(label, at, found) {
  const entries = at || !rows ? null : entriesOfSlice(), n = labels.length, totals = { tp: 0, fp: 0, fn: 0, isKnown: Boolean(entries) };
  if (!entries) return { ...Object.fromEntries(KINDS.map((key) => [key, found[key].length])), isKnown: images.n === images.total };
  entries.n.forEach((many, k) => {
    const [row, column] = [entries.row[k], entries.column[k]];
    if (row === column && row < n) { if (label < 0 || row === label) totals.tp += many; return; }
    if (column < n && (label < 0 || column === label)) totals.fp += many;
    if (row < n && (label < 0 || row === label)) totals.fn += many;
  });
  return totals;
}

const heldOfSlice = (shown, total, isKnown) => `${isKnown ? held(shown, total) : `${count(shown)} on this page, which holds ${count(images.n)} of ${count(images.total)} images`}, of the slice`;
