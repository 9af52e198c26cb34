// ---- confusion ----------------------------------------------------------------------------

const lineState = { order: "label", shown: "drawn", search: "" };
const difference = { grid: null, view: null };

/** Cells of codes as columns; of the baseline's own [column, count, column, count, …] a row. */
const changedCells = () => ({ row: data.cells.map((c) => c[0]), column: data.cells.map((c) => c[1]), n: data.cells.map((c) => c[2]) });

function baselineCells() {
  const row = [], column = [], n = [];
  data.baseline_cells.forEach((flat, i) => { for (let k = 0; k < flat.length; k += 2) { row.push(i); column.push(flat[k]); n.push(flat[k + 1]); } });
  return { row, column, n };
}

function showConfusion() {
  if (!data.cells.length) return;
  byId("confusion").hidden = false;
  const names = labels.slice(0, nLabels), weight = new Float64Array(labels.length);
  for (const [i, j, n] of data.cells) for (const code of [i, j]) weight[code] += Math.abs(n);
  const everything = names.map((_, i) => i), byName = alphabetical(names), drawn = data.drawn.length ? data.drawn : everything;
  Object.assign(difference, {
    names, drawn, changed: changedCells(), baseline: data.baseline_cells && baselineCells(), moved: { row: data.moves.map((m) => m[1]), column: data.moves.map((m) => m[2]), n: data.moves.map(() => 1) },
    orders: { label: everything, name: byName, change: [...everything].sort((a, b) => weight[b] - weight[a] || a - b) },
    grid: makeGrid(byId("matrix"), "Changes of the confusion matrix, rows true, columns predicted", showCell),
  });
  lineControls(byId("confusion-controls"), names, drawn, [["label", "label"], ["name", "A–Z"], ["change", "most changed"]], lineState, () => drawDifference());
  drawDifference();
  onLabel.push((label) => { difference.grid.highlight(label); if (difference.view) sayNotes(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => requestAnimationFrame(() => { difference.grid.forget(); drawDifference(true); }));
}

/** What is shown: of all images, or of the slice that is looked at; `baseline` is known of all alone. */
const shownCells = () => (sliced.row ? cellsOfSlice() : { changed: difference.changed, baseline: difference.baseline, moved: difference.moved });

function drawDifference(isSameCells = false) {
  const { names, drawn, grid } = difference, cells = shownCells(), changed = cells && cells.changed;
  if (!cells) return sayNoDifference();
  const kept = keepLabels(names, drawn, lineState, changed);
  if (!isSameCells) { byId("cell").hidden = true; byId("cell").replaceChildren(); grid.deselect(); }
  byId("matrix-most").replaceChildren();
  byId("matrix-note").textContent = "";
  difference.view = kept.length ? { ...viewDifference(kept, cells), kept } : null;
  if (!difference.view) { grid.clear(`No label's name contains “${lineState.search}”.`); return; }
  grid.show(difference.view);
  sayNotes();
  if (grid.isPicture()) listMostChanged();
}

function sayNotes() {
  const { names, view: { kept } } = difference, notes = [];
  const found = lineState.search ? "those found, and what changed with them" : "the same as in the picture";
  if (kept.length < names.length) notes.push(`${kept.length} of ${count(names.length)} labels are shown: ${found}; (other) holds the rest.`);
  if (state.label >= 0 && !kept.includes(state.label)) notes.push(`\u2068${names[state.label]}\u2069 is among (other).`);
  byId("matrix-note").textContent = notes.join(" ");
}

function viewDifference(kept, { changed, baseline, moved }) {
  const { names, orders } = difference;
  const lines = buildLines(names, kept, orders[lineState.order]);
  const isOwnChanged = (side) => (code) => side.includes(code);
  const own = labels.slice(nLabels);
  const rows = [...lines, ...ownLines(own, nLabels, isOwnChanged(changed.row))], columns = [...lines, ...ownLines(own, nLabels, isOwnChanged(changed.column))];
  const { counts: changes, right } = pool(changed, rows, columns, labels.length), before = baseline && pool(baseline, rows, columns, labels.length).counts;
  const moves = pool(moved, rows, columns, labels.length).counts, width = columns.length;
  const isRest = (y, x) => rows[y].kind === "other" && columns[x].kind === "other";
  const filled = changes.map((n, k) => (isRest(Math.floor(k / width), k % width) ? Math.abs(right) + Math.abs(n - right) : n));
  const largest = changes.reduce((most, n, k) => (isRest(Math.floor(k / width), k % width) ? most : Math.max(most, Math.abs(n))), 1);
  const colours = { right: colourOf("--heat-right"), wrong: colourOf("--heat-wrong"), none: colourOf("--heat-none"), other: colourOf("--heat-other") };
  const at = (y, x) => changes[y * width + x];
  const sides = (y, x) => {
    if (!before) return "";
    const old = before[y * width + x];
    return at(y, x) ? `, ${count(old)} in ${baselineName} and ${count(old + at(y, x))} in ${candidateName}` : `, ${count(old)} in both`;
  };
  return {
    key: JSON.stringify([lineState.order, kept]), rows, columns, counts: filled, changes, right,
    colour: (y, x, isStrong) => {
      if (isRest(y, x)) return colours.other;
      const share = Math.abs(at(y, x)) / largest, isBetter = (rows[y].kind === "label" && rows[y] === columns[x]) === at(y, x) > 0;
      return mix(isBetter ? colours.right : colours.wrong, colours.none, isStrong ? 0.4 + 0.6 * share : 0.15 + 0.85 * share);
    },
    text: (y, x) => signed(at(y, x), 0),
    say: (y, x) => `true ${rows[y].text}, predicted ${columns[x].text}: ${at(y, x) ? signed(at(y, x), 0) : "no change"}${sides(y, x)}${isRest(y, x) ? `; ${signed(right, 0) || 0} right among the rest, ${signed(at(y, x) - right, 0) || 0} mixed up among the rest` : ""}`,
    split: (y, x) => (isRest(y, x) ? [signed(right, 0), signed(at(y, x) - right, 0)] : null),
    opens: (y, x) => at(y, x) !== 0 || moves[y * width + x] > 0,
  };
}

/** In words what a picture of very many cells shows. */
function listMostChanged() {
  const { view, grid } = difference, width = view.columns.length;
  const found = findLargest(view.changes.map(Math.abs), 8);
  byId("matrix-most").replaceChildren(el("p", { class: "quiet" }, "The largest changes:"), el("ul", {}, found.map((k) => [Math.floor(k / width), k % width]).map(([y, x]) =>
    el("li", {}, el("button", { type: "button", onclick: () => grid.press(y, x) }, "true ", name(short(view.rows[y].text, 32)), ", predicted ", name(short(view.columns[x].text, 32)), `: ${view.text(y, x)}`)))));
}

function showCell(y, x) {
  const { view } = difference, row = view.rows[y], column = view.columns[x], inRow = new Set(row.codes), inColumn = new Set(column.codes);
  const moved = data.moves.filter(([image, i, j]) => inRow.has(i) && inColumn.has(j) && isInSlice(image));
  const isRight = ([, i, j]) => i === j && i < nLabels;
  const list = (title, moves, isEntered) => (moves.length
    ? [el("h4", {}, `${title} (${count(moves.length)})`), longList(moves, (move) => imageCard(move[0], isRight(move) === isEntered ? "right" : "wrong"), { title })] : []);
  const both = (which, about) => [
    ...list(`Only ${candidateName}${about}`, moved.filter((move) => which(move) && move[3] > 0), true),
    ...list(`Only ${baselineName}${about}`, moved.filter((move) => which(move) && move[3] < 0), false)];
  const isRest = row.kind === "other" && column.kind === "other";
  const panel = byId("cell");
  panel.hidden = false;
  panel.replaceChildren(
    el("h3", {}, "true ", name(row.text), ", predicted ", name(column.text), `: ${signed(view.changes[y * view.columns.length + x], 0) || "no change in number"}`),
    el("p", { class: "quiet", role: "status" }, data.moves.length < data.moves_total ? `Of ${count(data.moves_total)} images that moved, ${count(data.moves.length)} are on this page: not all of a cell need be here.` : ""),
    ...(isRest ? [...both(isRight, ": right among the rest"), ...both((move) => !isRight(move), ": mixed up among the rest")] : both(() => true, "")));
  panel.scrollIntoView({ block: "nearest" });
}
