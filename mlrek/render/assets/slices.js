// ---- slices: the images that have one value of a column in common ----------------------------

const FIRST_SLICES = 50;
const MOST_OF_IMAGE = 12;
const SIGNS = { worse: "− worse", better: "+ better" };

/** The rows, single slices before pairs: `parent` is the row that one is shown with. */
const slices = (() => {
  const { rows, singles, members } = data.slices, keys = Object.keys(rows).filter((key) => key !== "columns");
  const all = rows.n.map((_, id) => ({ id, ...Object.fromEntries(keys.map((key) => [key, rows[key][id]])) }));
  const trackOf = new Map(members.flatMap(([own, codes]) => own.map((id, k) => [id, { codes, bits: 32 - Math.clz32(own.length), code: k + 1 }])));
  const labelColumn = rows.columns.indexOf("label");
  for (const row of all) {
    row.parent = row.part_of < 0 ? null : all[row.part_of];
    row.isLabel = row.of.every((code) => code === labelColumn);
    row.text = row.names.join("\n").toLowerCase();
    row.track = trackOf.get(row.id);
  }
  const ends = all.flatMap((row) => [row.low, row.high, row.difference].filter((v) => v !== null).map(Math.abs));
  return { all, singles: all.slice(0, singles), pairs: all.slice(singles), columns: rows.columns, labelColumn, reach: ends.reduce((a, b) => Math.max(a, b), 0.01) };
})();

/** Which of the page's images are in a slice, 1 or 0 each; null where the page does not hold it. */
function readMembers({ track }, n) {
  if (!track) return null;
  const bytes = atob(track.codes), has = new Uint8Array(n), { bits, code } = track, mask = 2 ** bits - 1;
  let held = 0, width = 0, at = 0;
  for (let i = 0; i < n; i++) {
    while (width < bits) { held = ((held << 8) | bytes.charCodeAt(at++)) & 0xffffff; width += 8; }
    width -= bits;
    if (((held >> width) & mask) === code) has[i] = 1;
  }
  return has;
}

/** The slices that an image of the page is in, but those of labels, as a line of its large view. */
function saySlicesOf(image) {
  const found = slices.singles.filter((row) => row.track && !row.isLabel && isMember(row.track, image));
  if (!found.length) return null;
  const shown = found.slice(0, MOST_OF_IMAGE);
  return el("p", { class: "of-slices" }, "In the slices ", shown.flatMap((row, k) => [k ? ", " : "", el("b", { title: row.names[0].length > 60 ? row.names[0] : null }, sliceName(row, 60))]), found.length > shown.length ? ` and ${found.length - shown.length} more` : "");
}

function isMember({ codes, bits, code }, image) {
  const place = image * bits, from = Math.floor(place / 24) * 4, bytes = atob(codes.slice(from, from + 8));
  let held = 0;
  for (let k = 0; k < 6; k++) held = held * 256 + (k < bytes.length ? bytes.charCodeAt(k) : 0);
  const below = 48 - (place % 24) - bits;
  return Math.floor(held / 2 ** below) % 2 ** bits === code;
}

/** Cells with their counts, as `_encode_cells` writes them; `width` cells are a row. */
function decodeCells(text, width) {
  const row = [], column = [], n = [];
  let cell = 0;
  for (const part of text ? text.split(",") : []) {
    const [distance, many] = part.split(":");
    cell += distance ? parseInt(distance, 36) : 0;
    row.push(Math.floor(cell / width));
    column.push(cell % width);
    n.push(many ? parseInt(many, 36) : 1);
  }
  return { row, column, n };
}

/** Look at the images of a slice alone; null: at all of them. */
function setSlice(row) {
  sliced.row = row;
  sliced.has = row ? readMembers(row, images.n) : null;
  onSlice.forEach((draw) => draw());
  byId("slices-said").textContent = row ? `Images and confusion matrix show the slice ${short(row.names[0], 80)} alone: ${plural(row.n, "image")}.` : "Images and confusion matrix show all images.";
}

const sliceName = (row, most) => name(short(row.names[0], most));

/** What takes the slice away again, above a part of the page that shows it alone. */
function addChip(place, title) {
  const box = el("p", { class: "chips", hidden: true });
  place.before(box);
  const leave = () => { setSlice(null); title.tabIndex = -1; title.focus(); };
  onSlice.push(() => {
    box.hidden = !sliced.row;
    box.replaceChildren(...(sliced.row ? ["Only the slice ", el("button", { type: "button", class: "chip", title: sliced.row.names[0], "aria-label": `${short(sliced.row.names[0], 80)}: take this slice away`, onclick: leave }, sliceName(sliced.row, 80), " ×")] : []));
  });
}

/** The tables: `heads` of the two values, `sayNumber(number)` gives the text of a headline number, `places` are [text, id] of what a slice narrows. */
function showSlices({ heads, sayNumber, places }) {
  const tables = [makeSliceTable(slices.singles, "slices", { heads, sayNumber, places, unit: "slice" })];
  const { pairs_tried: tried, pairs_left_out: left } = data.slices;
  if (slices.pairs.length) {
    byId("pairs").hidden = false;
    byId("pairs-title").textContent = `Pairs of slices (own family): ${count(tried)} tried, ${count(slices.pairs.filter((row) => row.judgement === "worse").length)} significantly worse`;
    tables.push(makeSliceTable(slices.pairs, "pairs", { heads, sayNumber, places, unit: "pair", after: left ? `${count(left)} more pairs are in slices.csv.` : "" }));
  }
  onSlice.push(() => tables.forEach((table) => table.mark()));
}

function makeSliceTable(rows, id, { heads, sayNumber, places, unit, after = "" }) {
  const box = byId(`${id}-table`), table = { sort: "", up: true, search: "", column: "own", all: false, open: new Set() }, nodes = new Map();
  const columns = [["text", unit], ["n", "images"], ["first", heads[0]], ["second", heads[1]], ["difference", "difference"], ["", ""], ["low", "95 % interval"], ["p", "p (Holm)"], ["judgement", "judged"]];
  const unheld = rows.filter((row) => !row.track).length;
  const hasLabels = slices.labelColumn >= 0 && rows.some((row) => row.isLabel);
  const passes = (row) => (table.column === "own" ? !row.isLabel || row.judgement === "worse" : table.column === "all" || row.of.includes(Number(table.column))) && row.text.includes(table.search);

  /** The rows that are wanted, in order; each with those that are shown with it. */
  function arrange() {
    const kept = rows.filter(passes), isKept = new Set(kept), inside = new Map();
    const leads = [];
    for (const row of kept) {
      let top = row;
      for (let steps = 0; steps < 9 && top.parent && isKept.has(top.parent); steps++) top = top.parent;
      if (top === row) leads.push(row); else (inside.get(top) || inside.set(top, []).get(top)).push(row);
    }
    if (table.sort) {
      const key = table.sort, collator = new Intl.Collator("en", { numeric: true });
      const compare = (a, b) => (typeof a === "string" ? collator.compare(a, b) : a - b);
      leads.sort((a, b) => (a[key] === null) - (b[key] === null) || (table.up ? 1 : -1) * compare(a[key], b[key]) || a.id - b.id);
    }
    return { leads, inside, n: kept.length };
  }

  function draw() {
    const { leads, inside, n } = arrange(), shown = table.all ? leads : leads.slice(0, FIRST_SLICES);
    nodes.clear();
    const body = shown.flatMap((row) => {
      const nested = inside.get(row) || [], isOpen = table.open.has(row.id) || nested.some((one) => one === sliced.row);
      return [makeRow(row, nested, isOpen), ...(isOpen ? nested.map((one) => makeRow(one, [], false, true)) : [])];
    });
    const head = el("tr", {}, columns.map(([key, text]) => (key ? makeHead(key, text) : axisHead(slices.reach))));
    box.replaceChildren(shown.length ? el("table", { class: "plain differences slices" }, el("thead", {}, head), el("tbody", {}, body)) : el("p", { class: "quiet" }, rows.length ? `No ${unit} passes the filters.` : ""));
    const nested = n - leads.length, notes = [];
    if (nested) notes.push(`${plural(nested, unit)} that stand${nested === 1 ? "s" : ""} in another and tell${nested === 1 ? "s" : ""} the same ${nested === 1 ? "is" : "are"} folded under it.`);
    if (unheld) notes.push(`${plural(unheld, unit)} cannot be chosen: this page does not hold which images are in ${unheld === 1 ? "it" : "them"}.`);
    if (after) notes.push(after);
    const more = leads.length > shown.length ? el("button", { type: "button", class: "more", onclick: () => { table.all = true; draw(); focusOn(`[data-slice="${leads[FIRST_SLICES].id}"]`); } }, `Show all ${plural(leads.length, unit)}`) : null;
    byId(`${id}-note`).replaceChildren(...[notes.join(" "), more ? " " : "", more].filter(Boolean));
    mark();
  }

  const focusOn = (selector) => { const node = box.querySelector(selector); if (node) node.focus(); };

  function makeHead(key, text) {
    const isSorted = table.sort === key, arrow = isSorted ? (table.up ? " ↑" : " ↓") : "";
    return el("th", { scope: "col", class: key === "text" || key === "judgement" ? null : "n", "aria-sort": isSorted ? (table.up ? "ascending" : "descending") : null },
      el("button", { type: "button", "data-key": key, title: text.length > 24 ? text : null, onclick: () => { table.up = table.sort === key ? !table.up : true; table.sort = key; draw(); focusOn(`[data-key="${key}"]`); } }, name(short(text, 24)), arrow));
  }

  function makeRow(row, nested, isOpen, isNested = false) {
    const [own, ...same] = row.names, whole = row.names.join(", the same images as ");
    const interval = row.low === null ? "—" : `${signed(row.low)} to ${signed(row.high)}`;
    const press = row.track ? el("button", { type: "button", class: "name", "data-slice": row.id, "aria-pressed": "false", onclick: () => setSlice(sliced.row === row ? null : row) }, name(short(own, 80))) : el("span", { class: "name" }, name(short(own, 80)));
    const fold = nested.length ? el("button", { type: "button", class: "nest", "data-nest": row.id, "aria-expanded": String(isOpen), onclick: () => { if (isOpen) table.open.delete(row.id); else table.open.add(row.id); draw(); focusOn(`[data-nest="${row.id}"]`); } },
      `${isOpen ? "▾" : "▸"} ${plural(nested.length, unit)} in it: `, name(short(nested[0].names[0], 40)), nested.length > 1 ? ", …" : "") : null;
    const node = el("tr", { class: `${row.judgement}${isNested ? " nested" : ""}`, "data-name": own },
      el("th", { scope: "row", title: whole.length > 80 ? whole : null }, press,
        same.length ? el("span", { class: "same" }, "the same images: ", same.slice(0, 3).flatMap((text, k) => [k ? ", " : "", name(short(text, 60))]), same.length > 3 ? ` and ${same.length - 3} more` : "") : null,
        isNested && row.parent ? el("span", { class: "same" }, "in ", sliceName(row.parent, 60)) : null, fold),
      el("td", { class: "n" }, count(row.n)), el("td", { class: "n" }, three(row.first)), el("td", { class: "n" }, three(row.second)),
      el("td", { class: "n moved" }, signed(row.difference)), el("td", { class: "axis" }, row.difference === null ? null : whisker(row, slices.reach)),
      el("td", { class: "n" }, interval), el("td", { class: "n" }, row.holm || "—"), el("td", { class: "judged" }, SIGNS[row.judgement] || row.judgement));
    nodes.set(row, node);
    return node;
  }

  /** Mark the row of the slice that is looked at, with more of it below. */
  function mark() {
    box.querySelectorAll(".detail").forEach((node) => node.remove());
    for (const [row, node] of nodes) {
      const isChosen = row === sliced.row, press = node.querySelector("[data-slice]");
      node.classList.toggle("chosen", isChosen);
      if (isChosen) node.setAttribute("aria-current", "true"); else node.removeAttribute("aria-current");
      if (press) press.setAttribute("aria-pressed", String(isChosen));
      if (isChosen) node.after(makeDetail(row));
    }
  }

  function makeDetail(row) {
    const go = ([text, place]) => el("button", { type: "button", onclick: () => { const node = byId(place); node.scrollIntoView(); node.tabIndex = -1; node.focus({ preventScroll: true }); } }, text);
    return el("tr", { class: "detail" }, el("td", { colspan: columns.length }, el("div", {},
      row.numbers.length ? el("ul", {}, row.numbers.map((number) => el("li", {}, sayNumber(number)))) : null,
      row.reason ? el("p", {}, name(row.reason)) : null,
      places.filter(([, place]) => !byId(place).closest("section").hidden).map(go),
      el("button", { type: "button", onclick: () => { setSlice(null); focusOn(`[data-slice="${row.id}"]`); } }, "All images again"))));
  }

  if (id === "slices") {
    const options = [["own", hasLabels ? "columns of files, weak labels" : "all columns"], ...(hasLabels ? [["all", "all columns"]] : []), ...slices.columns.map((text, code) => [code, short(text, 40)])];
    byId("slices-controls").append(...[
      slices.columns.length > 1 ? select("Column", options, "own", (value) => { table.column = value; draw(); }).node : null,
      rows.length > 10 ? search("Search slices", (text) => { table.search = text.toLowerCase(); draw(); }) : null].filter(Boolean));
  }
  draw();
  return { mark };
}
