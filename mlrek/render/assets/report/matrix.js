// ---- confusion matrix ---------------------------------------------------------------------

const matrix = data.matrix && (() => {
  const row = [], column = [], n = [];
  data.matrix.cells.forEach((flat, i) => {
    for (let k = 0; k < flat.length; k += 2) { row.push(i); column.push(flat[k]); n.push(flat[k + 1]); }
  });
  const drawn = data.matrix.drawn && data.matrix.drawn.length ? data.matrix.drawn : labels.length > 25 ? data.matrix.by_confusion.slice(0, 24) : labels.map((_, i) => i);
  return { ...data.matrix, drawn, entries: { row, column, n }, size: labels.length + Math.max(1, data.matrix.own_rows.length, data.matrix.own_columns.length) };
})();
const byName = labels.length ? alphabetical(labels) : [];
const LINE_ORDERS = {
  label: () => (state.matrix.shown === "drawn" && !state.matrix.search ? [...new Set([...matrix.drawn, ...labels.map((_, i) => i)])] : labels.map((_, i) => i)),
  name: () => byName, confusion: () => matrix.by_confusion, cluster: () => matrix.by_cluster,
};
const ownSteps = matrix && data.matrix_steps;
let matrixGrid = null, matrixView = null, steppedEntries = null;

/** The matrices at rising thresholds: entries by the step at which they leave a cell, the last ones first. */
function decodeSteps() {
  const found = [];
  ownSteps.rows.forEach((text, row) => {
    for (const cell of text ? text.split(";") : []) {
      const [column, ...parts] = cell.split(",");
      let step = 0;
      for (const part of parts) {
        const [distance, change] = part.split(":");
        step += distance ? parseInt(distance, 36) : 0;
        found.push([step, row, column ? parseInt(column, 36) : 0, change ? parseInt(change, 36) : 1]);
      }
    }
  });
  found.sort((a, b) => b[0] - a[0]);
  return [0, 1, 2, 3].map((k) => Int32Array.from(found, (entry) => entry[k]));
}

/** The place of the threshold that is shown: the nearest one that is known, not above the slider if there is one. */
function placeOfStep() {
  const { percents } = ownSteps;
  let place = 0;
  while (place + 1 < percents.length && percents[place + 1] <= state.step) place++;
  return place;
}

/** Cells at the threshold; what no label keeps of a row is in the column of our own. */
function entriesAtThreshold() {
  steppedEntries ||= decodeSteps();
  const [step, row, column, change] = steppedEntries, place = placeOfStep(), left = Int32Array.from(ownSteps.sums), n = labels.length;
  let end = 0;
  while (end < step.length && step[end] >= place) { if (row[end] < n) left[row[end]] -= change[end]; end++; }
  const merge = (old, added) => { const all = new Int32Array(end + n); all.set(old.subarray(0, end)); all.set(added, end); return all; };
  const codes = Int32Array.from(labels, (_, i) => i);
  return { row: merge(row, codes), column: merge(column, new Int32Array(n).fill(n)), n: merge(change, left) };
}

const isAtThreshold = () => Boolean(ownSteps) && state.matrix.by === "threshold" && (!sliced.row || sliceFollows());

function startMatrix() {
  if (!matrix) return;
  byId("confusion").hidden = false;
  matrixGrid = makeGrid(byId("matrix"), "Confusion matrix, rows true, columns predicted", showCell);
  if (ownSteps && curves) byId("confusion-controls").append(choice("Decided by", [["rule", "the version's rule"], ["threshold", "the threshold"]], "rule", (by) => { state.matrix.by = by; drawMatrix(); }).node);
  byId("confusion-controls").append(choice("Cells", [["count", "counts"], ["percent", "row %"]], "count", (unit) => { state.matrix.unit = unit; drawMatrix(true); }).node);
  const orders = [["label", "label"], ["name", "A–Z"], ["confusion", "most confused"]];
  if (matrix.by_cluster.length) orders.push(["cluster", "alike"]);
  lineControls(byId("confusion-controls"), labels, matrix.drawn, orders, state.matrix, () => drawMatrix());
  drawMatrix();
  onLabel.push((label) => { matrixGrid.highlight(label); if (matrixView) sayNotes(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => requestAnimationFrame(() => { matrixGrid.forget(); drawMatrix(true); }));
}

/** After a step of the slider. */
function moveMatrix() {
  if (matrix && isAtThreshold()) drawMatrix();
}

function closeCell() {
  byId("cell").hidden = true;
  byId("cell").replaceChildren();
  matrixGrid.deselect();
}

function drawMatrix(isSameCells = false) {
  const at = isAtThreshold(), entries = sliced.row ? (at ? entriesOfSliceAt() : entriesOfSlice()) : at ? entriesAtThreshold() : matrix.entries;
  if (!entries) return sayNoMatrix();
  const kept = keepLabels(labels, matrix.drawn, state.matrix, entries);
  if (!isSameCells) closeCell();
  sayLead(at);
  byId("matrix-most").replaceChildren();
  if (!kept.length) {
    matrixGrid.clear(`No label's name contains “${state.matrix.search}”.`);
    byId("matrix-note").textContent = "";
    matrixView = null;
    return;
  }
  matrixView = { ...viewMatrix(kept, entries, at), kept, at };
  matrixGrid.show(matrixView);
  matrixGrid.highlight(state.label);
  sayNotes();
  if (matrixGrid.isPicture()) listMostConfused();
}

function viewMatrix(kept, entries, at) {
  const order = LINE_ORDERS[state.matrix.order]();
  const isPart = at || Boolean(sliced.row), sums = isPart ? new Int32Array(2 * matrix.size) : null;
  if (isPart) for (let k = 0; k < entries.n.length; k++) { sums[entries.row[k]] += entries.n[k]; if (entries.column[k] >= labels.length) sums[matrix.size + entries.column[k]] += entries.n[k]; }
  const rowSum = (code) => (isPart ? sums[code] : matrix.row_sums[code]), columnSum = (code) => (isPart ? sums[matrix.size + code] : matrix.column_sums[code]);
  const lines = buildLines(labels, kept, order);
  const rows = [...lines, ...ownLines(at ? [ownSteps.own] : matrix.own_rows, labels.length, rowSum)];
  const columns = [...lines, ...ownLines(at ? [ownSteps.own] : matrix.own_columns, labels.length, columnSum)];
  const { counts, right } = pool(entries, rows, columns, matrix.size);
  const totals = rows.map((row) => row.codes.reduce((sum, code) => sum + rowSum(code), 0));
  const colours = { right: colourOf("--heat-right"), wrong: colourOf("--heat-wrong"), none: colourOf("--heat-none"), other: colourOf("--heat-other") };
  const nOf = (y, x) => counts[y * columns.length + x];
  const share = (y, x) => (totals[y] ? nOf(y, x) / totals[y] : 0);
  const isRest = (y, x) => rows[y].kind === "other" && columns[x].kind === "other";
  const inUnit = (n, y) => (state.matrix.unit === "count" ? brief(n) : percent(totals[y] ? n / totals[y] : 0).replace(" ", ""));
  return {
    key: JSON.stringify([state.matrix.order, kept, rows.length, columns.length]), rows, columns, counts,
    colour: (y, x, isStrong) => (isRest(y, x) ? colours.other : mix(rows[y] === columns[x] ? colours.right : colours.wrong, colours.none, isStrong ? 0.4 + 0.6 * share(y, x) : 0.12 + 0.88 * share(y, x))),
    text: (y, x) => (state.matrix.unit === "count" && nOf(y, x) < 1000 ? String(nOf(y, x)) : inUnit(nOf(y, x), y)),
    say: (y, x) => `true ${rows[y].text}, predicted ${columns[x].text}: ${count(nOf(y, x))}${nOf(y, x) ? `, ${percent(share(y, x))} of the row` : ""}${isRest(y, x) && nOf(y, x) ? `; ${count(right)} right among the rest, ${count(nOf(y, x) - right)} mixed up among the rest` : ""}`,
    split: (y, x) => (isRest(y, x) ? [inUnit(right, y), inUnit(nOf(y, x) - right, y)] : null),
    opens: (y, x) => Boolean(rows) && nOf(y, x) > 0 && hasLists(at),
    n: nOf, right,
  };
}

/** Whether the images of a cell are known: boxes are matched anew at each threshold. */
const hasLists = (at) => Boolean(rows) && !(at && isDetection);

function sayLead(at) {
  const cells = hasLists(at) ? " A cell lists its images." : "";
  const own = data.task === "multilabel"
    ? "Each label is decided by itself: in the column (none) what is missed, in the row (none) what is a false alarm."
    : "Rows are true, columns predicted; the colour is the share of the row.";
  if (!at) { byId("confusion-lead").textContent = (sliced.row ? saySliceOfMatrix() : "") + own + cells; return; }
  const part = sliced.row ? `The ${plural(sliced.row.n, "image")} of the slice alone. ` : "";
  const known = ownSteps.percents[placeOfStep()], [first] = ownSteps.percents;
  const what = ownSteps.rule === "confidence" ? "Confidence" : "The label's own threshold reached, and confidence";
  const nearest = known === state.step ? "" : state.step < first ? ` Below ${first} % the answers are not recorded.` : " These are the counts of the next lower threshold that this page holds.";
  const boxes = isDetection ? " For the boxes of a cell choose the version's own rule." : "";
  byId("confusion-lead").textContent = `${part}${what} at least ${known} %; ${ownSteps.own} is what no label is predicted for.${nearest} ${own}${cells}${boxes}`;
}

function sayNotes() {
  const notes = [], { kept, at } = matrixView;
  const what = state.matrix.search ? ": those found, and what they are confused with" : matrix.is_drawn_alike ? ", the same of every version of the project" : ", the most confused";
  if (kept.length < labels.length) notes.push(`${kept.length} of ${count(labels.length)} labels are shown${what}; (other) holds the rest.`);
  if (state.label >= 0 && !kept.includes(state.label)) notes.push(`\u2068${labels[state.label]}\u2069 is among (other).`);
  if (matrix.left_out && !at && !sliced.row) notes.push(`${count(matrix.left_out)} of the smallest counts are left out here; confusion_matrix.csv has all.`);
  byId("matrix-note").textContent = notes.join(" ");
}

/** In words what a picture of very many cells shows. */
function listMostConfused() {
  const view = matrixView, width = view.columns.length, mistakes = view.counts.slice();
  view.rows.forEach((row, y) => { const x = view.columns.indexOf(row); if (x >= 0) mistakes[y * width + x] = 0; });
  const found = findLargest(mistakes, 8).map((k) => [mistakes[k], Math.floor(k / width), k % width]);
  byId("matrix-most").replaceChildren(el("p", { class: "quiet" }, "The largest mistakes:"), el("ul", {}, found.map(([n, y, x]) =>
    el("li", {}, el("button", { type: "button", onclick: () => matrixGrid.press(y, x) }, "true ", name(short(view.rows[y].text, 32)), ", predicted ", name(short(view.columns[x].text, 32)), `: ${count(n)}`)))));
}

/** The images of a cell, each with whether it is right. */
function findInCell(row, column) {
  const inRow = new Set(row.codes), inColumn = new Set(column.codes), size = labels.length, found = new Map();
  const at = isAtThreshold(), percents = ownSteps && ownSteps.percents[placeOfStep()];
  const visit = (image, truth, predicted, confidence) => {
    if (!isInSlice(image)) return;
    if (!inRow.has(truth < 0 ? size : truth) || !inColumn.has(predicted < 0 ? size : predicted)) return;
    const item = found.get(image) || { image, sure: -1, boxes: 0, right: truth === predicted };
    item.boxes += 1;
    item.sure = Math.max(item.sure, confidence);
    found.set(image, item);
  };
  if (at && data.task === "multilabel" && ownSteps.rule === "confidence" && records) {
    row.codes.concat(column.codes).filter((code, k, all) => code < size && all.indexOf(code) === k).forEach((label) => {
      const { tp, fn, fp } = outcomesAt(label, percents);
      tp.forEach((item) => visit(item.image, label, label, item.sure));
      fn.forEach((item) => visit(item.image, label, -1, item.sure));
      fp.forEach((item) => visit(item.image, -1, label, item.sure));
    });
  } else {
    for (let r = 0; r < rows.n; r++) {
      if (data.task === "classification" && rows.truth[r] < 0) continue;
      const reached = !at || Math.floor(rows.confidence[r] / 1000) >= percents;
      visit(rows.image[r], rows.truth[r], reached ? rows.predicted[r] : -1, rows.confidence[r]);
    }
  }
  return [...found.values()].sort((a, b) => b.sure - a.sure || a.image - b.image);
}

function showCell(y, x) {
  const view = matrixView, row = view.rows[y], column = view.columns[x], n = view.n(y, x);
  const items = findInCell(row, column), isRest = row.kind === "other" && column.kind === "other";
  const known = items.reduce((sum, item) => sum + item.boxes, 0);
  const unit = isDetection ? (k) => `${plural(k, "box", "boxes")}` : (k) => plural(k, "image");
  const panel = byId("cell");
  const where = isDetection ? ` on ${plural(items.length, "image")}` : "";
  const note = known < n ? ` This page holds ${count(known)} of them, on ${count(items.length)} of its ${count(images.n)} images; predictions.csv has all.` : "";
  const list = (found, title = "Images of the cell") => longList(found, (item) => card(item, item.right ? "right" : "wrong"), { ...listOptions, title, empty: "None of them is among the images that this page holds." });
  const group = (title, total, found) => [el("h4", {}, `${title} (${count(total)})`), list(found, title)];
  const lists = !isRest ? [list(items)] : [
    ...group("Right among the rest", view.right, items.filter((item) => item.right)),
    ...group("Mixed up among the rest", n - view.right, items.filter((item) => !item.right))];
  const first = isRest ? "Labels that are not shown." : row === column ? "Rightly predicted." : "The surest first.";
  panel.hidden = false;
  panel.replaceChildren(
    el("h3", { id: "cell-title", tabindex: -1 }, `${unit(n)}${known < n ? "" : where}: true `, name(row.text), ", predicted ", name(column.text)),
    el("p", { class: "quiet", role: "status" }, `${first}${note}`), ...lists);
  panel.scrollIntoView({ block: "nearest" });
}
