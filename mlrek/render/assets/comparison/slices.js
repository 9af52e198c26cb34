// ---- slices of a comparison: what a slice narrows --------------------------------------------

function startSlices() {
  showSlices({
    heads: data.slices.heads.map((text) => `${data.slices.number} ${text}`), places: [["Its images", "images-title"], ["Its confusion matrix", "confusion-title"]],
    sayNumber: ([text, before, after, low, high]) => `${text} ${three(before)} → ${three(after)}${low === null ? "" : ` (${signed(low)} to ${signed(high)})`}`,
  });
  if (!byId("images").hidden) addChip(byId("images-controls"), byId("images-title"));
  if (difference.grid) { addChip(byId("confusion-controls"), byId("confusion-title")); onSlice.push(() => drawDifference()); }
}

/** What changed in the slice: of the moves that the page holds, all of them or else counted before. */
function cellsOfSlice() {
  const moves = data.moves.filter(([image]) => isInSlice(image)), moved = { row: moves.map((m) => m[1]), column: moves.map((m) => m[2]), n: moves.map(() => 1) };
  if (data.slices.matrices) {
    const text = data.slices.matrices[sliced.row.id];
    return text === undefined ? null : { changed: decodeCells(text, labels.length), baseline: null, moved };
  }
  return { changed: { ...moved, n: moves.map((m) => m[3]) }, baseline: null, moved };
}

function sayNoDifference() {
  const n = data.slices.matrices.length;
  difference.grid.clear(n ? `This page holds the changes of the first ${plural(n, "slice")} of the list; this slice is not one of them.` : "This page holds no confusion matrices of slices.");
  difference.view = null;
  byId("matrix-most").replaceChildren();
  byId("matrix-note").textContent = "";
}
