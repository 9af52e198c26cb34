// ---- confusion matrix ---------------------------------------------------------------------

const matrix = data.matrix && (() => {
  const cells = data.matrix.cells.map((flat) => {
    const row = new Map();
    for (let k = 0; k < flat.length; k += 2) row.set(flat[k], flat[k + 1]);
    return row;
  });
  const n = labels.length;
  const own = (names, sums) => names.map((text, k) => ({ text, codes: [n + k], own: true })).filter((line, k) => sums[n + k]);
  return { ...data.matrix, cells, ownRows: own(data.matrix.own_rows, data.matrix.row_sums), ownColumns: own(data.matrix.own_columns, data.matrix.column_sums) };
})();

/** Label codes in the order that was chosen; past so many the most confused, or those searched. */
function chooseLines() {
  const { order, most, search } = state.matrix, everything = labels.map((_, i) => i);
  let kept = everything;
  if (search) {
    const wanted = everything.filter((i) => labels[i].toLowerCase().includes(search.toLowerCase()));
    const rank = new Map();
    wanted.forEach((i) => { for (const [j, n] of matrix.cells[i]) if (j < labels.length) rank.set(j, (rank.get(j) || 0) + n); });
    wanted.forEach((i) => { for (let j = 0; j < labels.length; j++) { const n = matrix.cells[j].get(i); if (n) rank.set(j, (rank.get(j) || 0) + n); } });
    wanted.forEach((i) => rank.delete(i));
    const others = [...rank].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([j]) => j);
    kept = [...wanted, ...others].slice(0, most);
  } else if (labels.length > most) kept = matrix.by_confusion.slice(0, most);
  const place = new Map((order === "confusion" ? matrix.by_confusion : order === "cluster" ? matrix.by_cluster : everything).map((code, i) => [code, i]));
  kept = [...kept].sort((a, b) => place.get(a) - place.get(b));
  const lines = kept.map((code) => ({ text: labels[code], codes: [code] }));
  const rest = new Set(kept);
  const other = kept.length < labels.length ? [{ text: "(other)", codes: everything.filter((i) => !rest.has(i)), own: true }] : [];
  return [...lines, ...other];
}

function startMatrix() {
  if (!matrix) return;
  byId("confusion").hidden = false;
  byId("confusion-lead").textContent = data.task === "multilabel"
    ? "Each label is decided by itself: in the column (none) what is missed, in the row (none) what is a false alarm. A cell lists its images."
    : `Rows are true, columns predicted; the colour is the share of the row.${rows ? " A cell lists its images." : ""}`;
  const set = (key) => (value) => { state.matrix[key] = key === "most" ? Number(value) : value; drawMatrix(); };
  const orders = [["label", "label"], ["confusion", "confusion"]];
  if (matrix.by_cluster.length) orders.push(["cluster", "cluster"]);
  byId("confusion-controls").append(
    choice("Cells", [["count", "counts"], ["percent", "row %"]], "count", set("unit")).node,
    choice("Order by", orders, "label", set("order")).node);
  if (labels.length > 25) {
    byId("confusion-controls").append(
      search("Search labels", set("search")),
      select("Show", [25, 50, 100].filter((n, k) => !k || n < labels.length + 25).map((n) => [n, `${Math.min(n, labels.length)} labels`]), 25, set("most")).node);
  }
  drawMatrix();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawMatrix);
}

function sumCell(row, column) {
  let total = 0;
  for (const i of row.codes) {
    const cells = matrix.cells[i];
    if (column.codes.length > cells.size) { const wanted = column.set ||= new Set(column.codes); for (const [j, n] of cells) if (wanted.has(j)) total += n; }
    else for (const j of column.codes) total += cells.get(j) || 0;
  }
  return total;
}

function drawMatrix() {
  const lines = chooseLines(), rowLines = [...lines, ...matrix.ownRows], columnLines = [...lines, ...matrix.ownColumns];
  const grid = el("table", { class: `matrix ${columnLines.length <= 8 ? "wide" : ""}`, role: "grid", "aria-label": "Confusion matrix, rows true, columns predicted" });
  const head = el("tr", {}, el("th", { class: "corner", scope: "col" }, "true ↓ predicted →"));
  columnLines.forEach((line) => head.append(el("th", { scope: "col", class: line.own ? "own" : null, title: line.text }, el("span", {}, name(short(line.text, 18))))));
  const body = el("tbody");
  const colours = { right: colourOf("--heat-right"), wrong: colourOf("--heat-wrong"), none: colourOf("--heat-none") };
  rowLines.forEach((row, y) => {
    const total = row.codes.reduce((sum, i) => sum + matrix.row_sums[i], 0);
    const tr = el("tr", {}, el("th", { scope: "row", class: row.own ? "own" : null, title: row.text }, name(short(row.text, 24))));
    columnLines.forEach((column, x) => tr.append(makeCell(row, column, total, [y, x], colours)));
    body.append(tr);
  });
  grid.append(el("thead", {}, head), body);
  grid.addEventListener("keydown", moveInGrid);
  byId("matrix").replaceChildren(grid);
  const notes = [];
  const shown = lines.filter((line) => !line.own).length;
  if (shown < labels.length) notes.push(`${shown} of ${labels.length} labels are shown${state.matrix.search ? ": those found, and what they are confused with" : ", the most confused"}; (other) holds the rest.`);
  if (matrix.left_out) notes.push(`${count(matrix.left_out)} of the smallest counts are left out here; confusion_matrix.csv has all.`);
  byId("matrix-note").textContent = notes.join(" ");
}

function makeCell(row, column, total, [y, x], colours) {
  const n = sumCell(row, column), share = total ? n / total : 0;
  const right = !row.own && row === column;
  const text = n ? (state.matrix.unit === "count" ? count(n) : percent(share)) : "";
  const colour = blend(right ? colours.right : colours.wrong, colours.none, 0.12 + 0.88 * share);
  const td = el("td", {
    role: "gridcell", tabindex: y === 0 && x === 0 ? 0 : -1, class: n ? (rows ? "full" : "known") : null,
    style: n ? `background:rgb(${colour.map(Math.round)});color:${inkOn(colour)}` : null, "data-y": y, "data-x": x,
    "aria-label": `true ${row.text}, predicted ${column.text}: ${count(n)}${n ? `, ${percent(share)} of the row` : ""}`,
  }, text);
  const open = () => {
    if (!n || !rows) return;
    document.querySelectorAll(".matrix td[aria-selected]").forEach((cell) => cell.removeAttribute("aria-selected"));
    td.setAttribute("aria-selected", "true");
    focusCell(td);
    showCell(row, column, n);
  };
  td.addEventListener("click", open);
  td.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); } });
  return td;
}

function focusCell(td) {
  document.querySelectorAll(".matrix td[tabindex='0']").forEach((cell) => { cell.tabIndex = -1; });
  td.tabIndex = 0;
  td.focus({ preventScroll: true });
}

function moveInGrid(event) {
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!move || !event.target.dataset.y) return;
  event.preventDefault();
  const y = Number(event.target.dataset.y) + move[0], x = Number(event.target.dataset.x) + move[1];
  const td = byId("matrix").querySelector(`td[data-y="${y}"][data-x="${x}"]`);
  if (td) { focusCell(td); td.scrollIntoView({ block: "nearest", inline: "nearest" }); }
}

function showCell(row, column, n) {
  const size = labels.length;
  const has = (line, code) => line.codes.includes(code < 0 ? size : code);
  const found = new Map();
  for (let r = 0; r < rows.n; r++) {
    if (!has(row, rows.truth[r]) || !has(column, rows.predicted[r])) continue;
    if (data.task === "classification" && rows.truth[r] < 0) continue;
    const item = found.get(rows.image[r]) || { image: rows.image[r], sure: -1, boxes: 0 };
    item.boxes += 1;
    item.sure = Math.max(item.sure, rows.confidence[r]);
    found.set(rows.image[r], item);
  }
  const items = [...found.values()].sort((a, b) => b.sure - a.sure || a.image - b.image);
  const known = items.reduce((sum, item) => sum + item.boxes, 0);
  const unit = isDetection ? (k) => `${plural(k, "box", "boxes")}` : (k) => plural(k, "image");
  const panel = byId("cell");
  const where = isDetection ? ` on ${plural(items.length, "image")}` : "";
  const note = known < n ? ` This page holds ${count(known)} of them, on ${count(items.length)} of its ${count(images.n)} images; predictions.csv has all.` : "";
  const right = row === column;
  panel.hidden = false;
  panel.replaceChildren(
    el("h3", { id: "cell-title", tabindex: -1 }, `${unit(n)}${known < n ? "" : where}: true `, name(row.text), ", predicted ", name(column.text)),
    el("p", { class: "quiet", role: "status" }, `${right ? "Rightly predicted." : "The surest first."}${note}`),
    longList(items, (item) => card(item, right ? "right" : "wrong"), { ...listOptions, empty: "None of them is among the images that this page holds." }));
  panel.scrollIntoView({ block: "nearest" });
}
