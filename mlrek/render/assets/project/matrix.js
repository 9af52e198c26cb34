// ---- heat maps of several versions --------------------------------------------------------

const OTHER = -1;
const maps = { unit: "count", cell: null };

/** The rows and columns that all heat maps share: drawn labels, the others together, our own. */
const drawnCodes = data.drawn.map((text) => codes.get(text)).filter((code) => code !== undefined);
const ownNames = [...new Set(versions.flatMap((v) => (v.cells ? v.cells.own : [])))];
const hasOther = labels.length > drawnCodes.length;
const lines = [
  ...drawnCodes.map((code) => ({ key: `l${code}`, text: labels[code] })),
  ...(hasOther ? [{ key: "o", text: "(other)", own: true, other: true }] : []),
  ...ownNames.map((text, k) => ({ key: `n${k}`, text, own: true })),
];
const place = new Map(lines.map((line, i) => [line.key, i]));

/** The counts of one version by row and column of the shared lines; made when first drawn. */
function countsOf(version) {
  if (version.grid) return version.grid;
  const { counts, own } = version.cells, grid = lines.map(() => new Map());
  const toLine = (code) => {
    if (code >= 0) return place.get(`l${version.ofLabel[code]}`) ?? place.get("o");
    return code === OTHER ? place.get("o") : place.get(`n${ownNames.indexOf(own[OTHER - 1 - code])}`);
  };
  for (let k = 0; k < counts.length; k += 3) {
    const row = grid[toLine(counts[k])], column = toLine(counts[k + 1]);
    row.set(column, (row.get(column) || 0) + counts[k + 2]);
  }
  version.grid = grid;
  version.rowSums = grid.map((row) => [...row.values()].reduce((sum, n) => sum + n, 0));
  return grid;
}

function startMatrix() {
  if (!versions.some((v) => v.cells)) return;
  byId("confusion").hidden = false;
  maps.unit = lines.length > 14 ? "colour" : "count";
  byId("confusion-controls").append(
    choice("In the cells", [["count", "counts"], ["percent", "row %"], ["colour", "colours alone"]], maps.unit, (unit) => { maps.unit = unit; drawMaps(); }).node);
  if (hasOther) byId("confusion-note").textContent = `${count(drawnCodes.length)} of ${count(labels.length)} labels are drawn, the same for every version; (other) holds the rest together: its cell with itself is no mistake and no hit, and has no colour.`;
  const isMultilabel = versions.some((v) => v.task === "multilabel");
  if (isMultilabel) byId("confusion-lead").textContent += " Of several labels an image each is decided by itself: in the column (none) what is missed, in the row (none) what is a false alarm.";
  drawMaps();
  redrawWhenWidthChanges(byId("maps"), drawMaps);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawMaps);
  onPick.push(drawMaps);
}

/** Rows and columns that some drawn version has anything in; labels stay. */
function usedLines(shown) {
  const used = { rows: new Set(), columns: new Set() };
  for (const version of shown) countsOf(version).forEach((row, i) => { if (row.size) used.rows.add(i); for (const j of row.keys()) used.columns.add(j); });
  const keep = (set) => lines.map((_, i) => i).filter((i) => !lines[i].own || set.has(i));
  return { rows: keep(used.rows), columns: keep(used.columns) };
}

/** How large cells are, so that as many maps stand in a row as can be read. */
function measure(columns, shown) {
  const n = shown.length, width = byId("maps").clientWidth, texts = maps.unit !== "colour", most = 40;
  const largest = maps.unit === "percent" ? 100 : Math.max(...shown.flatMap((v) => countsOf(v).flatMap((row) => [...row.values()])));
  const least = texts ? Math.max(20, 8 + 6.4 * count(largest).length) : 12;
  const head = Math.max(texts ? 72 : 30, Math.min(texts ? 118 : 104, 16 + 6.4 * Math.max(...columns.map((i) => Math.min(Array.from(lines[i].text).length, 16))))), gap = 24;
  for (let each = n; each > 1; each--) {
    const cell = Math.floor((width / each - gap - head) / columns.length) - 1;
    if (cell >= least) return { cell: Math.min(cell, most), head };
  }
  return { cell: Math.max(least, Math.min(most, Math.floor((width - gap - head) / columns.length) - 1)), head };
}

function drawMaps() {
  const shown = pickedVersions().filter((v) => v.cells);
  const box = byId("maps");
  byId("readout").hidden = true;
  if (!shown.length) { box.replaceChildren(el("p", { class: "quiet" }, "None of the chosen versions has a confusion matrix.")); return; }
  const { rows, columns } = usedLines(shown);
  const size = measure(columns, shown);
  const colours = { right: colourOf("--heat-right"), wrong: colourOf("--heat-wrong"), none: colourOf("--heat-none") };
  box.replaceChildren(...shown.map((v) => drawMap(v, rows, columns, size, colours)));
}

function drawMap(version, rows, columns, { cell, head }, colours) {
  const grid = countsOf(version), small = cell < 20;
  const top = el("tr", {}, el("th", { class: "corner", scope: "col" }, small ? el("span", { class: "hidden" }, "true, predicted") : ["true ↓", el("br"), "predicted →"]),
    columns.map((j) => el("th", { scope: "col", title: lines[j].text, class: lines[j].own ? "own" : null }, el("span", {}, name(short(lines[j].text, 16))))));
  const body = rows.map((i, y) => el("tr", { style: `height:${cell}px` },
    el("th", { scope: "row", title: lines[i].text, class: lines[i].own ? "own" : null }, name(short(lines[i].text, 16))),
    columns.map((j, x) => mapCell(version, grid, i, j, [y, x], colours))));
  const table = el("table", { class: small ? "map small" : "map", role: "grid", "aria-label": `Confusion matrix of ${version.name}, rows true, columns predicted`, "data-version": version.i,
    style: `width:${head + columns.length * (cell + 1) + 1}px`, onkeydown: moveOnMap, onfocusin: readCell, onmouseover: readCell },
  el("colgroup", {}, el("col", { style: `width:${head}px` }), columns.map(() => el("col", { style: `width:${cell}px` }))), el("thead", {}, top), el("tbody", {}, body));
  const about = [version.trained, version.set ? `set ${version.set}` : "", version.images ? `${count(Number(version.images))} images` : ""].filter(Boolean).join(", ");
  return el("figure", { style: `width:${head + columns.length * (cell + 1) + 3}px` }, el("figcaption", {}, swatch(version), el("b", {}, name(version.name)), el("span", { class: "quiet" }, ` ${about}`)), el("div", { class: "scroll" }, table));
}

function mapCell(version, grid, i, j, [y, x], colours) {
  const n = grid[i].get(j) || 0, total = version.rowSums[i], share = total ? n / total : 0;
  const isRest = lines[i].other && lines[j].other, text = !n || maps.unit === "colour" ? "" : maps.unit === "count" ? count(n) : percent(share).replace(" %", "");
  let style = null;
  if (n && !isRest) {
    const colour = blend(i === j && !lines[i].own ? colours.right : colours.wrong, colours.none, 0.12 + 0.88 * share);
    style = `background:${toHex(colour)};color:${inkOn(colour)}`;
  }
  return el("td", { role: "gridcell", tabindex: y || x ? -1 : 0, class: isRest && n ? "rest" : null, style, "data-i": i, "data-j": j, "data-n": n, "aria-label": n ? `${count(n)}, ${percent(share)} of the row` : "0" }, text);
}

function moveOnMap(event) {
  const td = event.target.closest("td");
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!td || !move) return;
  event.preventDefault();
  const row = td.parentNode.parentNode.rows[td.parentNode.rowIndex - 1 + move[0]];
  const next = row && row.cells[td.cellIndex + move[1]];
  if (!next || next.tagName !== "TD") return;
  td.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

/** The same cell of every version that is drawn. */
function readCell(event) {
  const td = event.target.closest("td");
  if (!td) return;
  const i = Number(td.dataset.i), j = Number(td.dataset.j);
  if (maps.cell) maps.cell.forEach((cell) => cell.classList.remove("same"));
  maps.cell = [...byId("maps").querySelectorAll(`td[data-i="${i}"][data-j="${j}"]`)];
  maps.cell.forEach((cell) => cell.classList.add("same"));
  const said = pickedVersions().filter((v) => v.cells).map((v) => {
    const n = countsOf(v)[i].get(j) || 0, total = v.rowSums[i], rest = lines[i].other && lines[j].other;
    const split = rest && n ? `, ${count(v.cells.right)} of them right, ${count(n - v.cells.right)} mixed up` : "";
    return el("li", {}, swatch(v), name(v.name), el("b", {}, ` ${count(n)}`), total ? ` of ${count(total)}, ${percent(n / total)}${split}` : "");
  });
  const box = byId("readout");
  box.hidden = false;
  box.replaceChildren(el("p", {}, "true ", el("b", {}, name(lines[i].text)), i === j && !lines[i].own ? ", rightly predicted" : [", predicted ", el("b", {}, name(lines[j].text))]), el("ul", {}, said));
}
