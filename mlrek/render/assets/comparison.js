const data = JSON.parse(byId("data").textContent);
const [baselineName, candidateName] = data.names;
const labels = data.labels;
const nLabels = labels.length - data.own;
const KINDS = { broken: "Broken", fixed: "Fixed", changed: "Wrong in another way" };
const fileOf = (i) => data.images.names[i].split("/").pop() || data.images.names[i];
const uriOf = (i) => data.images.prefix + data.images.names[i];
const signOf = (value, digits) => (Math.abs(value) < 0.5 * 10 ** -digits ? "" : value < 0 ? "-" : "+");
const signed = (value, digits = 3) => (value === null ? "—" : signOf(value, digits) + Math.abs(value).toFixed(digits));

// ---- differences as dots with whiskers ----------------------------------------------------

function whiskers(rows) {
  const reach = Math.max(0.01, ...rows.flatMap((r) => [r.low, r.high, r.difference].filter((v) => v !== null).map(Math.abs)));
  const x = (value) => 50 + (50 * value) / reach;
  return el("div", { class: "deltas", role: "list" }, rows.map((row) => {
    const picture = svg("svg", { class: "delta", viewBox: "0 0 100 14", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("line", { class: "zero", x1: 50, x2: 50, y1: 0, y2: 14 }));
    if (row.low !== null) picture.append(svg("line", { class: "range", x1: x(row.low), x2: x(row.high), y1: 7, y2: 7 }));
    picture.append(svg("line", { class: "point", x1: x(row.difference), x2: x(row.difference), y1: 2, y2: 12 }));
    const ends = row.low === null ? "no interval" : `${signed(row.low)} to ${signed(row.high)}`;
    const interval = row.holm ? `${ends}, p (Holm) ${row.holm}` : ends;
    return el("div", { class: `delta-row ${row.judgement}`, role: "listitem", "data-name": row.name },
      el("span", { class: "delta-name", title: row.name }, name(row.name)),
      el("span", { class: "quiet delta-pair" }, `${three(row.baseline)} → ${three(row.candidate)}`),
      picture,
      el("span", { class: "delta-number" }, signed(row.difference)),
      el("span", { class: "quiet delta-span" }, interval));
  }));
}

function showDeltas() {
  byId("deltas").append(whiskers(data.deltas));
  if (!data.label_deltas.length) return;
  byId("labels").hidden = false;
  const state = { search: "", all: false };
  const draw = () => {
    const found = data.label_deltas.filter((row) => row.name.toLowerCase().includes(state.search.toLowerCase()));
    const shown = state.all ? found : found.slice(0, 20);
    const more = found.length > shown.length
      ? el("button", { type: "button", class: "more", onclick: () => { state.all = true; draw(); } }, `Show all ${count(found.length)}`) : null;
    byId("label-deltas").replaceChildren(shown.length ? whiskers(shown) : el("p", { class: "quiet" }, "No such label."), ...(more ? [more] : []));
  };
  if (data.label_deltas.length > 20) byId("labels-controls").append(search("Search labels", (text) => { state.search = text; draw(); }));
  draw();
}

// ---- images -------------------------------------------------------------------------------

const listed = (codes) => (codes.length ? codes.flatMap((code, k) => [k ? ", " : "", el("b", {}, name(labels[code]))]) : ["(none)"]);
const answered = (codes, confidence) => [...listed(codes), confidence === null ? "" : ` ${confidence.toFixed(2)}`];

function picture(i) {
  const source = data.images.thumbnails[i];
  if (!source) return null;
  const img = el("img", { src: source, alt: "", loading: "lazy", onload: () => img.naturalWidth < 48 && img.classList.add("tiny") });
  return el("span", { class: "picture" }, img);
}

function changeCard(kind) {
  return ([i, truth, before, beforeSure, after, afterSure]) =>
    el("li", { class: `card ${kind === "fixed" ? "right" : "wrong"}`, "data-image": uriOf(i) },
      picture(i),
      el("span", { class: "what" }, "true ", listed(truth)),
      el("span", { class: "what" }, "before ", answered(before, beforeSure)),
      el("span", { class: "what" }, "now ", answered(after, afterSure)),
      el("span", { class: "name", title: uriOf(i) }, name(fileOf(i))));
}

/** Why names stand for all pictures, "" where some are there. */
function sayMissing(images) {
  if (Object.keys(images.thumbnails).length) return "";
  return sayUnread(images) || "No pictures: not asked for, not there, or access to them is denied (--images FOLDER takes a copy of them).";
}

function showImages() {
  const kinds = Object.keys(KINDS).filter((kind) => data.totals[kind]);
  if (!kinds.length) return;
  byId("images").hidden = false;
  const draw = (kind) => {
    const items = [...data.changes[kind]].sort((a, b) => (b[5] ?? -1) - (a[5] ?? -1));
    const total = data.totals[kind];
    const note = items.length < total
      ? `${count(items.length)} of ${count(total)} images are on this page; fixed_broken.csv has all.`
      : "The candidate's surest answers first.";
    byId("images-note").textContent = `${note} ${sayMissing(data.images)}`.trim();
    byId("gallery").replaceChildren(longList(items, changeCard(kind), { first: 24 }));
  };
  const options = kinds.map((kind) => [kind, `${KINDS[kind]} (${count(data.totals[kind])})`]);
  byId("images-controls").append(choice("Images that are", options, kinds[0], draw).node);
  draw(kinds[0]);
}

// ---- confusion ----------------------------------------------------------------------------

function showConfusion() {
  if (!data.cells.length) return;
  byId("confusion").hidden = false;
  const weight = new Map();
  for (const [i, j, n] of data.cells) for (const code of [i, j]) weight.set(code, (weight.get(code) || 0) + Math.abs(n));
  const order = [...weight.keys()].sort((a, b) => (a >= nLabels) - (b >= nLabels) || a - b);
  const most = [...weight.keys()].filter((code) => code < nLabels).sort((a, b) => weight.get(b) - weight.get(a) || a - b).slice(0, 25);
  const shown = order.filter((code) => code >= nLabels || most.includes(code));
  const value = new Map(data.cells.map(([i, j, n]) => [`${i},${j}`, n]));
  const largest = Math.max(...data.cells.map(([, , n]) => Math.abs(n)));
  const head = el("tr", {}, el("th", { class: "corner" }, "true \\ predicted"), shown.map((j) => el("th", { scope: "col", class: j >= nLabels ? "own" : null }, el("span", { title: labels[j] }, name(short(labels[j], 18))))));
  const body = shown.map((i) => el("tr", {}, el("th", { scope: "row", class: i >= nLabels ? "own" : null, title: labels[i] }, name(short(labels[i], 24))), shown.map((j) => cell(i, j, value.get(`${i},${j}`) || 0, largest))));
  byId("matrix").append(el("table", { class: "matrix" }, el("thead", {}, head), el("tbody", {}, body)));
  const hidden = order.length - shown.length;
  byId("matrix-note").textContent = hidden > 0 ? `${count(hidden)} labels with smaller changes are left out; comparison.json has all.` : "";
}

function cell(i, j, n, largest) {
  if (!n) return el("td", {});
  const better = (i === j) === (n > 0), over = colourOf(better ? "--heat-right" : "--heat-wrong");
  const colour = blend(over, colourOf("--heat-none"), 0.15 + (0.85 * Math.abs(n)) / largest);
  const open = () => showCell(i, j, n);
  return el("td", {
    class: "full", style: `background:rgb(${colour.map(Math.round)});color:${inkOn(colour)}`, tabindex: "0", role: "button",
    "data-cell": `${i},${j}`, "aria-label": `true ${labels[i]}, predicted ${labels[j]}: ${signed(n, 0)}`,
    onclick: open, onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); } },
  }, signed(n, 0));
}

function showCell(i, j, n) {
  const moved = data.moves.filter(([, row, column]) => row === i && column === j);
  const entered = moved.filter((move) => move[3] > 0), left = moved.filter((move) => move[3] < 0);
  const list = (title, moves, look) => (moves.length
    ? [el("h4", {}, `${title} (${count(moves.length)})`), longList(moves, ([image]) => el("li", { class: `card ${look}`, "data-image": uriOf(image) }, picture(image), el("span", { class: "name", title: uriOf(image) }, name(fileOf(image)))), { first: 12 })] : []);
  const panel = byId("cell");
  panel.hidden = false;
  panel.replaceChildren(
    el("h3", {}, "true ", name(labels[i]), ", predicted ", name(labels[j]), `: ${signed(n, 0)}`),
    el("p", { class: "quiet" }, data.moves.length < data.moves_total ? `Of ${count(data.moves_total)} images that moved, ${count(data.moves.length)} are on this page: not all of a cell need be here.` : ""),
    ...list(`Only ${candidateName}`, entered, i === j ? "right" : "wrong"),
    ...list(`Only ${baselineName}`, left, i === j ? "wrong" : "right"));
  document.querySelectorAll("[aria-selected]").forEach((node) => node.removeAttribute("aria-selected"));
  document.querySelector(`[data-cell="${i},${j}"]`).setAttribute("aria-selected", "true");
  panel.scrollIntoView({ block: "nearest" });
}

showDeltas();
showImages();
showConfusion();
listSections(byId("contents"));
document.documentElement.dataset.ready = "true";
