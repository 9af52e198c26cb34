// ---- a matrix of labels: a table of cells or, of very many, a picture that can be zoomed --------

const TABLE_LINES = 40; // more are drawn as a picture
const PICTURE_LINES = 1000;
const FULL_CELL = 34; // pixels of a cell at 100 %
const DIGITS_CELL = 22;
const NAMES_CELL = 11;
const ALPHABET = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** Label codes from A to Z, numbers in names by their value, equal names in the model's order. */
const alphabetical = (names) => names.map((_, i) => i).sort((a, b) => ALPHABET.compare(names[a], names[b]) || a - b);

/** The lines of a matrix in an order of codes; the labels that are not kept are one line. */
function buildLines(names, kept, order) {
  const isKept = new Set(kept);
  const lines = order.filter((code) => isKept.has(code)).map((code) => ({ text: names[code], codes: [code], kind: "label" }));
  const rest = order.filter((code) => !isKept.has(code));
  return rest.length ? [...lines, { text: "(other)", codes: rest, kind: "other" }] : lines;
}

/** Lines of our own after the labels, such as (none): those with any count. */
const ownLines = (names, first, holdsAny) => names.map((text, k) => ({ text, codes: [first + k], kind: "own" })).filter((line) => holdsAny(line.codes[0]));

/** Counts of codes as counts of lines, row by row, and how many of (other) are right among themselves. */
function pool({ row, column, n }, rows, columns, size) {
  const places = [rows, columns].map((lines) => {
    const place = new Int32Array(size).fill(-1);
    lines.forEach((line, i) => line.codes.forEach((code) => { place[code] = i; }));
    return place;
  });
  const other = [rows, columns].map((lines) => lines.findIndex((line) => line.kind === "other"));
  const counts = new Int32Array(rows.length * columns.length);
  let right = 0;
  for (let k = 0; k < n.length; k++) {
    const y = places[0][row[k]], x = places[1][column[k]];
    if (y < 0 || x < 0) continue;
    counts[y * columns.length + x] += n[k];
    if (row[k] === column[k] && y === other[0] && x === other[1]) right += n[k];
  }
  return { counts, right };
}

/** The places of the few largest values of many, the first of equal ones first; 0 is none. */
function findLargest(values, most) {
  const found = [];
  for (let k = 0; k < values.length; k++) {
    const value = values[k];
    if (!value || (found.length === most && value <= values[found[most - 1]])) continue;
    let place = found.length;
    while (place && values[found[place - 1]] < value) place--;
    found.splice(place, 0, k);
    if (found.length > most) found.pop();
  }
  return found;
}

/** `blend`, made for very many cells. */
const mix = (over, under, share) => {
  const rest = 1 - share;
  return [over[0] * share + under[0] * rest, over[1] * share + under[1] * rest, over[2] * share + under[2] * rest];
};

/** A count in so many characters as a narrow cell holds. */
const brief = (n) => (Math.abs(n) < 1000 ? String(n) : Math.abs(n) < 9950 ? `${(n / 1000).toFixed(1)}k` : `${Math.round(n / 1000)}k`);

/** How the lines are chosen: order, all or some of them, and a search. `state` has order, shown, search. */
function lineControls(place, names, drawn, orders, state, redraw) {
  const set = (key) => (value) => { state[key] = value; redraw(); };
  place.append(choice("Order by", orders, state.order, set("order")).node);
  if (drawn.length >= names.length) return;
  if (names.length <= PICTURE_LINES) {
    const all = `all ${count(names.length)}${names.length > TABLE_LINES ? ", fitted" : ""}`;
    place.append(choice("Labels shown", [["drawn", `${drawn.length} and (other)`], ["all", all]], state.shown, set("shown")).node);
  }
  place.append(search("Search labels", set("search")));
}

/** The codes to show: all, those drawn by default, or those found with what they are confused with. */
function keepLabels(names, drawn, state, entries) {
  const everything = names.map((_, i) => i);
  if (!state.search) return state.shown === "all" || drawn.length >= names.length ? everything : drawn;
  const text = state.search.toLowerCase(), found = everything.filter((i) => names[i].toLowerCase().includes(text));
  const isFound = new Set(found), near = new Map();
  const meet = (code, n) => { if (code < names.length && !isFound.has(code)) near.set(code, (near.get(code) || 0) + Math.abs(n)); };
  for (let k = 0; k < entries.n.length; k++) {
    if (isFound.has(entries.row[k])) meet(entries.column[k], entries.n[k]);
    if (isFound.has(entries.column[k])) meet(entries.row[k], entries.n[k]);
  }
  const others = [...near].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([code]) => code);
  return found.length ? [...found, ...others].slice(0, Math.max(drawn.length, 1)) : [];
}

/**
 * A grid of cells in `box`. `show(view)` draws { key, rows, columns, counts, colour, text, say, split, opens };
 * a view with the key of the one before has the same lines; after `forget` all is drawn anew. `open(y, x)` is called for a chosen cell.
 */
function makeGrid(box, label, open) {
  const readout = el("p", { class: "readout quiet" });
  box.after(readout);
  let view = null, drawing = null, chosen = -1;
  const sayCell = (y, x) => {
    const row = view.rows[y].text, column = view.columns[x].text;
    return ["true ", name(row), ", predicted ", name(column), view.say(y, x).slice(`true ${row}, predicted ${column}`.length)];
  };
  const hooks = {
    label,
    open: (y, x) => { if (view.opens(y, x)) { drawing.select(y, x); open(y, x); } },
    read: (y, x) => readout.replaceChildren(...(y === undefined ? ["A cell says its numbers here."] : sayCell(y, x))),
  };
  const redraw = () => { if (view) drawing.update(view); };
  new ResizeObserver(() => { if (drawing && box.clientWidth) drawing.fit(); }).observe(box);
  return {
    show(next) {
      const isSame = drawing && view && view.key === next.key;
      view = next;
      hooks.read();
      if (isSame) return redraw();
      const isPicture = Math.max(view.rows.length, view.columns.length) > TABLE_LINES;
      drawing = (isPicture ? makePicture : makeTable)(box, view, hooks);
      drawing.highlight(chosen);
    },
    clear(words) { view = drawing = null; box.replaceChildren(el("p", {}, words)); readout.textContent = ""; },
    forget() { drawing = null; },
    deselect() { if (drawing) drawing.select(-1, -1); },
    /** Mark a label; another one than before is scrolled to within the box. */
    highlight(code) { const isOther = code !== chosen; chosen = code; if (drawing) drawing.highlight(code, isOther); },
    press: (y, x) => { if (drawing) { drawing.go(y, x); hooks.open(y, x); } },
    isPicture: () => Boolean(drawing) && drawing.isPicture,
  };
}

/** Where an arrow or another key leads from a cell, null for any other key. */
function stepTo(event, y, x, rows, columns) {
  const far = event.ctrlKey || event.metaKey;
  const to = {
    ArrowUp: [y - 1, x], ArrowDown: [y + 1, x], ArrowLeft: [y, x - 1], ArrowRight: [y, x + 1], PageUp: [y - 10, x], PageDown: [y + 10, x],
    Home: [far ? 0 : y, 0], End: [far ? rows - 1 : y, columns - 1],
  }[event.key];
  return to && [Math.min(Math.max(to[0], 0), rows - 1), Math.min(Math.max(to[1], 0), columns - 1)];
}

const isPress = (event) => event.key === "Enter" || event.key === " ";
const css = (colour) => `rgb(${colour.map(Math.round)})`;

// ---- as a table -------------------------------------------------------------------------------

function makeTable(box, first, hooks) {
  let view = first, at = [0, 0];
  const { rows, columns } = view, looks = rows.map(() => []);
  const heads = columns.map((line, x) => el("th", { scope: "col", class: line.kind === "label" ? null : "own", title: line.text, "aria-colindex": x + 2 }, el("span", {}, name(short(line.text, columns.length > 8 ? 18 : columns.length > 4 ? 10 : 16)))));
  const sides = rows.map((line) => el("th", { scope: "row", class: line.kind === "label" ? null : "own", title: line.text, "aria-colindex": 1 }, name(short(line.text, columns.length > 15 ? 21 : 24))));
  const cells = rows.map((_, y) => columns.map((_, x) => el("td", { role: "gridcell", tabindex: -1, "data-y": y, "data-x": x, "aria-colindex": x + 2 })));
  const table = el("table", { class: `matrix ${columns.length <= 8 ? "wide" : ""}`, role: "grid", "aria-label": hooks.label, "aria-rowcount": rows.length + 1, "aria-colcount": columns.length + 1 },
    el("thead", {}, el("tr", { "aria-rowindex": 1 }, el("th", { class: "corner", scope: "col", "aria-colindex": 1 }, "true ↓ predicted →"), heads)),
    el("tbody", {}, cells.map((row, y) => el("tr", { "aria-rowindex": y + 2 }, sides[y], row))));
  const placeOf = (event) => {
    const td = event.target.closest("td[data-y]");
    return td && [Number(td.dataset.y), Number(td.dataset.x)];
  };
  const go = (y, x) => {
    cells[at[0]][at[1]].tabIndex = -1;
    at = [y, x];
    cells[y][x].tabIndex = 0;
    cells[y][x].focus({ preventScroll: true });
    cells[y][x].scrollIntoView({ block: "nearest", inline: "nearest" });
  };
  table.addEventListener("click", (event) => { const place = placeOf(event); if (place) { go(...place); hooks.open(...place); } });
  table.addEventListener("keydown", (event) => {
    const place = placeOf(event), to = place && stepTo(event, ...place, rows.length, columns.length);
    if (!place || (!to && !isPress(event))) return;
    event.preventDefault();
    if (to) go(...to); else hooks.open(...place);
  });
  for (const kind of ["pointerover", "focusin"]) table.addEventListener(kind, (event) => { const place = placeOf(event); if (place) hooks.read(...place); });
  table.addEventListener("pointerleave", () => hooks.read(...(table.contains(document.activeElement) ? at : [])));

  const paint = (td, y, x) => {
    const n = view.counts[y * columns.length + x], split = n ? view.split(y, x) : null, colour = n ? view.colour(y, x) : null;
    const said = view.say(y, x), look = `${said}|${split || view.text(y, x)}|${view.opens(y, x)}`;
    if (looks[y][x] === look) return;
    looks[y][x] = look;
    td.className = n ? (view.opens(y, x) ? "full" : "known") : "";
    td.style.cssText = colour ? `background-color:${css(colour)};color:${inkOn(colour)}` : "";
    td.setAttribute("aria-label", said);
    if (split) td.replaceChildren(el("span", { class: "split" }, el("span", { class: "good" }, `✓ ${split[0]}`), el("span", { class: "bad" }, `✗ ${split[1]}`)));
    else td.textContent = n ? view.text(y, x) : "";
  };
  const update = (next) => { view = next; cells.forEach((row, y) => row.forEach((td, x) => paint(td, y, x))); };
  /** Cells as wide as the box allows, so that none is cut off where it can be helped. */
  const fit = () => {
    const most = columns.length <= 4 ? 130 : columns.length <= 8 ? 80 : 40;
    let cell = Math.min(Math.max(Math.floor((box.clientWidth - sides[0].offsetWidth) / columns.length), 24), most);
    for (let tries = 0; tries < 3; tries++) {
      table.style.setProperty("--cell", `${cell}px`);
      table.classList.toggle("narrow", cell < 32);
      const over = table.offsetWidth - box.clientWidth;
      if (over <= 0 || cell === 24) return;
      cell = Math.max(24, cell - Math.ceil(over / columns.length));
    }
  };
  /** Scroll a row and a column into the box, past the names that stay in sight; the page stays where it is. */
  const reach = (y, x) => {
    const { left, top } = box.getBoundingClientRect(), corner = table.querySelector(".corner"), into = (low, high, from, to) => (low < from ? low - from : Math.max(0, high - to));
    if (y >= 0) { const row = sides[y].getBoundingClientRect(); box.scrollTop += into(row.top, row.bottom, top + corner.offsetHeight, top + box.clientHeight); }
    if (x >= 0) { const column = heads[x].getBoundingClientRect(); box.scrollLeft += into(column.left, column.right, left + corner.offsetWidth, left + box.clientWidth); }
  };
  box.replaceChildren(table);
  update(view);
  cells[0][0].tabIndex = 0;
  fit();
  return {
    isPicture: false, update, fit, go,
    select(y, x) {
      for (const td of table.querySelectorAll("td[aria-selected]")) td.removeAttribute("aria-selected");
      if (y >= 0) cells[y][x].setAttribute("aria-selected", "true");
    },
    highlight(code, isOther = false) {
      for (const [nodes, lines] of [[heads, columns], [sides, rows]]) nodes.forEach((node, i) => node.classList.toggle("chosen", lines[i].codes.includes(code)));
      if (isOther && code >= 0) reach(rows.findIndex((line) => line.codes.includes(code)), columns.findIndex((line) => line.codes.includes(code)));
    },
  };
}

// ---- as a picture -----------------------------------------------------------------------------

function makePicture(box, first, hooks) {
  let view = first, at = [0, 0], selected = null, chosen = -1, size = 0, isFitted = true, gutter = [18, 18], image = null;
  const { rows, columns } = view;
  const canvas = el("canvas", { "aria-hidden": "true" }), context = canvas.getContext("2d");
  const extent = el("div", { class: "extent" }), pointer = el("div", { class: "pointer", hidden: true });
  const here = el("div", { role: "row", class: "here" });
  const pane = el("div", { class: "pane" }, canvas, extent, pointer, here);
  const scale = el("output", { class: "quiet" });
  const button = (text, title, act) => el("button", { type: "button", title, "aria-label": title, onclick: act }, text);
  const bar = el("div", { class: "zoom" }, button("−", "Zoom out", () => zoom(-1)), button("+", "Zoom in", () => zoom(1)), button("Fit", "Fit all labels", () => zoom(0)), scale,
    el("span", { class: "quiet" }, "Keys: arrows move, Enter opens, + and − zoom, 0 fits."));
  const grid = el("div", { role: "grid", class: "heat", "aria-label": hooks.label, "aria-rowcount": rows.length + 1, "aria-colcount": columns.length + 1 }, pane);

  const makeHere = () => {
    const [y, x] = at;
    here.setAttribute("aria-rowindex", y + 2);
    here.replaceChildren(el("span", { role: "rowheader", class: "hidden", "aria-colindex": 1 }, name(rows[y].text)),
      el("div", { role: "gridcell", tabindex: 0, "aria-colindex": x + 2, "aria-label": view.say(y, x), "aria-selected": selected && selected[0] === y && selected[1] === x ? "true" : null }));
    placeOver(here, y, x);
  };
  const placeOver = (node, y, x) => { node.style.cssText = `left:${gutter[0] + x * size}px;top:${gutter[1] + y * size}px;width:${size}px;height:${size}px`; };
  const go = (y, x) => {
    at = [y, x];
    makeHere();
    here.lastChild.focus({ preventScroll: true });
    reach(y, x);
    hooks.read(y, x);
  };
  const reach = (y, x) => {
    const [left, top] = [gutter[0] + x * size, gutter[1] + y * size];
    pane.scrollLeft = Math.min(Math.max(pane.scrollLeft, left + size - pane.clientWidth + 4), left - gutter[0]);
    pane.scrollTop = Math.min(Math.max(pane.scrollTop, top + size - pane.clientHeight + 4), top - gutter[1]);
  };

  /** One pixel a cell; where cells are small their colours are stronger. */
  const makeImage = () => {
    const pixels = context.createImageData(columns.length, rows.length), words = new Uint32Array(pixels.data.buffer), isSmall = size < 14;
    const pack = (colour) => (255 << 24) | (Math.round(colour[2]) << 16) | (Math.round(colour[1]) << 8) | Math.round(colour[0]);
    words.fill(pack(colourOf("--heat-none")));
    for (let k = 0; k < words.length; k++) {
      if (view.counts[k]) words[k] = pack(view.colour((k / columns.length) | 0, k % columns.length, isSmall));
    }
    image = el("canvas", { width: columns.length, height: rows.length });
    image.getContext("2d").putImageData(pixels, 0, 0);
  };
  const draw = () => {
    const width = pane.clientWidth, height = pane.clientHeight, ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.cssText = `width:${width}px;height:${height}px;margin-bottom:${-height}px`;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const style = getComputedStyle(document.documentElement), paper = style.getPropertyValue("--paper"), ink = style.getPropertyValue("--ink"), quiet = style.getPropertyValue("--quiet");
    const left = gutter[0] - pane.scrollLeft, top = gutter[1] - pane.scrollTop;
    const range = (offset, from, to, n) => [Math.max(0, Math.floor((from - offset) / size)), Math.min(n, Math.ceil((to - offset) / size))];
    const [x0, x1] = range(left, gutter[0], width, columns.length), [y0, y1] = range(top, gutter[1], height, rows.length);
    context.fillStyle = paper;
    context.fillRect(0, 0, width, height);
    context.save();
    context.beginPath();
    context.rect(gutter[0], gutter[1], width, height);
    context.clip();
    context.imageSmoothingEnabled = false;
    context.drawImage(image, x0, y0, x1 - x0, y1 - y0, left + x0 * size, top + y0 * size, (x1 - x0) * size, (y1 - y0) * size);
    context.fillStyle = paper;
    for (let x = x0; x <= x1; x++) if (size >= 8 || isBreak(columns, x)) context.fillRect(left + x * size - 0.5, top, isBreak(columns, x) ? 2 : 1, rows.length * size);
    for (let y = y0; y <= y1; y++) if (size >= 8 || isBreak(rows, y)) context.fillRect(left, top + y * size - 0.5, columns.length * size, isBreak(rows, y) ? 2 : 1);
    if (size >= DIGITS_CELL) drawDigits([x0, x1], [y0, y1], left, top);
    context.strokeStyle = ink;
    context.lineWidth = 1.5;
    columns.forEach((line, x) => { if (line.codes.includes(chosen)) context.strokeRect(left + x * size, top, size, rows.length * size); });
    rows.forEach((line, y) => { if (line.codes.includes(chosen)) context.strokeRect(left, top + y * size, columns.length * size, size); });
    if (selected) { context.lineWidth = 3; context.strokeRect(left + selected[1] * size - 1, top + selected[0] * size - 1, size + 2, size + 2); }
    context.restore();
    if (size >= NAMES_CELL) drawNames([x0, x1], [y0, y1], left, top, ink, quiet); else drawAxes(width, height, quiet);
  };
  const isBreak = (lines, i) => i > 0 && i < lines.length && lines[i].kind !== lines[i - 1].kind;
  const font = (pixels) => `${pixels}px ${getComputedStyle(document.body).fontFamily}`;
  const drawDigits = ([x0, x1], [y0, y1], left, top) => {
    context.font = font(size >= 30 ? 12 : 10);
    context.textAlign = "center";
    context.textBaseline = "middle";
    for (let y = y0; y < y1; y++) {
      for (let x = x0; x < x1; x++) {
        if (!view.counts[y * columns.length + x]) continue;
        context.fillStyle = inkOn(view.colour(y, x, false));
        context.fillText(view.text(y, x), left + (x + 0.5) * size, top + (y + 0.5) * size);
      }
    }
  };
  const drawNames = ([x0, x1], [y0, y1], left, top, ink, quiet) => {
    const most = [gutter[0], gutter[1]].map((room) => Math.floor(room / 7.3));
    context.font = font(Math.min(12, size - 1));
    context.textBaseline = "middle";
    const write = (line, room) => { context.fillStyle = line.kind === "label" ? ink : quiet; context.fillText(short(line.text, room), 0, 0); };
    context.textAlign = "right";
    context.save();
    context.beginPath();
    context.rect(0, gutter[1], gutter[0], pane.clientHeight);
    context.clip();
    for (let y = y0; y < y1; y++) { context.save(); context.translate(gutter[0] - 6, top + (y + 0.5) * size); write(rows[y], most[0]); context.restore(); }
    context.restore();
    context.save();
    context.beginPath();
    context.rect(gutter[0], 0, pane.clientWidth, gutter[1]);
    context.clip();
    context.textAlign = "left";
    for (let x = x0; x < x1; x++) { context.save(); context.translate(left + (x + 0.5) * size, gutter[1] - 6); context.rotate(-Math.PI / 2); write(columns[x], most[1]); context.restore(); }
    context.restore();
  };
  const drawAxes = (width, height, quiet) => {
    context.fillStyle = quiet;
    context.font = font(12);
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.fillText("predicted →", gutter[0], 8);
    context.save();
    context.translate(8, gutter[1]);
    context.rotate(-Math.PI / 2);
    context.textAlign = "right";
    context.fillText("← true", 0, 0);
    context.restore();
  };

  const room = () => [Math.max(box.clientWidth, 200), Math.max(300, Math.round(0.76 * window.innerHeight))];
  const fitting = () => Math.max(1, Math.min(FULL_CELL, (room()[0] - 20) / columns.length, (room()[1] - 20) / rows.length));
  const resize = (next) => {
    const before = size, middle = [pane.scrollTop + pane.clientHeight / 2 - gutter[1], pane.scrollLeft + pane.clientWidth / 2 - gutter[0]];
    size = next;
    context.font = font(Math.min(12, size - 1));
    const longest = (lines) => lines.reduce((most, line) => Math.max(most, Math.min(line.text.length, 60)), 0) * 6.6 + 12;
    gutter = size >= NAMES_CELL ? [Math.min(longest(rows), 190), Math.min(longest(columns), 120)] : [18, 18];
    const full = [gutter[0] + columns.length * size, gutter[1] + rows.length * size];
    extent.style.cssText = `width:${Math.floor(full[0])}px;height:${Math.floor(full[1])}px`;
    pane.style.height = `${Math.min(full[1] + (full[0] > room()[0] ? 16 : 1), room()[1])}px`;
    if (before && before !== size) { // what was in the middle stays there; of a focused cell that one
      const kept = here.contains(document.activeElement) ? [(at[0] + 0.5) * size, (at[1] + 0.5) * size] : middle.map((v) => (v * size) / before);
      pane.scrollTop = kept[0] + gutter[1] - pane.clientHeight / 2;
      pane.scrollLeft = kept[1] + gutter[0] - pane.clientWidth / 2;
    }
    scale.textContent = isFitted ? "fitted" : `${Math.round((100 * size) / FULL_CELL)} %`;
    pointer.hidden = true;
    placeOver(here, ...at);
    makeImage();
    draw();
  };
  const zoom = (by) => {
    const steps = [...new Set([fitting(), ...[5, 8, 12, 17, 24, FULL_CELL].filter((s) => s > fitting() * 1.2)])];
    const now = isFitted ? 0 : steps.reduce((best, s, i) => (Math.abs(s - size) < Math.abs(steps[best] - size) ? i : best), 0);
    const next = by === 0 ? 0 : Math.min(Math.max(now + by, 0), steps.length - 1);
    isFitted = next === 0;
    resize(steps[next]);
  };
  const focused = () => (here.contains(document.activeElement) ? at : []);
  const placeOf = (event) => {
    const frame = pane.getBoundingClientRect(), inX = event.clientX - frame.left, inY = event.clientY - frame.top;
    if (inX < gutter[0] || inY < gutter[1]) return null;
    const x = Math.floor((inX - gutter[0] + pane.scrollLeft) / size), y = Math.floor((inY - gutter[1] + pane.scrollTop) / size);
    return x < columns.length && y < rows.length ? [y, x] : null;
  };
  pane.addEventListener("scroll", draw);
  pane.addEventListener("pointermove", (event) => {
    const place = placeOf(event);
    pointer.hidden = !place;
    if (place) placeOver(pointer, ...place);
    hooks.read(...(place || focused()));
  });
  pane.addEventListener("pointerleave", () => { pointer.hidden = true; hooks.read(...focused()); });
  pane.addEventListener("click", (event) => { const place = placeOf(event); if (place) { go(...place); hooks.open(...place); } });
  grid.addEventListener("focusin", () => hooks.read(...at));
  grid.addEventListener("keydown", (event) => {
    const to = stepTo(event, ...at, rows.length, columns.length), zooms = { "+": 1, "=": 1, "-": -1, "0": 0 }[event.key];
    if (!to && zooms === undefined && !isPress(event)) return;
    event.preventDefault();
    if (to) go(...to); else if (zooms !== undefined) zoom(zooms); else hooks.open(...at);
  });
  box.replaceChildren(bar, grid);
  makeHere();
  resize(fitting());
  return {
    isPicture: true, go,
    update(next) { view = next; makeImage(); draw(); const isFocused = here.contains(document.activeElement); makeHere(); if (isFocused) here.lastChild.focus({ preventScroll: true }); },
    fit() { resize(isFitted ? fitting() : size); },
    select(y, x) { selected = y < 0 ? null : [y, x]; here.lastChild.toggleAttribute("aria-selected", false); if (selected) here.lastChild.setAttribute("aria-selected", "true"); draw(); },
    highlight(code, isOther = false) {
      chosen = code;
      if (isOther && code >= 0) reach(...[rows, columns].map((lines) => lines.findIndex((line) => line.codes.includes(code))));
      draw();
    },
  };
}
