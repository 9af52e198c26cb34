// ---- the number of each label, with whiskers -----------------------------------------------

const hasP = data.label_numbers.rows.some((row) => row.holm);
const LABEL_COLUMNS = [
  ["name", "label"], ["baseline", `${data.label_numbers.number} ${short(baselineName, 24)}`], ["candidate", `${data.label_numbers.number} ${short(candidateName, 24)}`],
  ["difference", "difference"], ["", ""], ["low", "95 % interval"], ["p", "p (Holm)"], ["judgement", "judged"],
].filter(([key]) => key !== "p" || hasP);
const FIRST_LABELS = 25;

const labelTable = { sort: "", up: true, search: "", all: false };

function showLabels() {
  const { rows, total } = data.label_numbers;
  if (!rows.length) return;
  byId("labels").hidden = false;
  if (rows.length > 10) byId("labels-controls").append(search("Search labels", (text) => { labelTable.search = text; drawLabels(); }));
  const notes = hasP ? [] : ["These numbers have no p: each label is held to a wider interval than the one shown, as Holm's steps ask."];
  if (rows.length < total) notes.push(`${count(rows.length)} of ${count(total)} labels are on this page; comparison.json has all.`);
  byId("labels-note").textContent = notes.join(" ");
  onLabel.push(drawLabels);
  drawLabels();
}

/** The rows that were searched for, in the order that was asked for; at first as they came. */
function orderLabels() {
  const wanted = labelTable.search.toLowerCase(), key = labelTable.sort;
  const found = data.label_numbers.rows.filter((row) => row.name.toLowerCase().includes(wanted));
  if (!key) return found;
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, undefined, { numeric: true }) : a - b);
  return found.sort((a, b) => (a[key] === null) - (b[key] === null) || (labelTable.up ? 1 : -1) * compare(a[key], b[key]));
}

function drawLabels() {
  const found = orderLabels(), shown = found.filter((row, i) => labelTable.all || i < FIRST_LABELS || row.label === state.label);
  const ends = found.flatMap((row) => [row.low, row.high, row.difference].filter((v) => v !== null).map(Math.abs));
  const reach = Math.max(0.01, ...ends);
  const head = el("tr", {}, LABEL_COLUMNS.map(([key, text]) => (key ? labelHead(key, text) : axisHead(reach))));
  const table = el("table", { class: "plain differences" }, el("thead", {}, head), el("tbody", {}, shown.map((row) => labelRow(row, reach))));
  const more = found.length > shown.length
    ? el("button", { type: "button", class: "more", onclick: () => { labelTable.all = true; drawLabels(); } }, `Show all ${count(found.length)}`) : null;
  byId("label-table").replaceChildren(shown.length ? table : el("p", { class: "quiet" }, "No such label."), ...(more ? [more] : []));
}

function labelHead(key, text) {
  const isSorted = labelTable.sort === key, arrow = isSorted ? (labelTable.up ? " ↑" : " ↓") : "";
  return el("th", { scope: "col", class: key === "name" || key === "judgement" ? null : "n", "aria-sort": isSorted ? (labelTable.up ? "ascending" : "descending") : null },
    el("button", { type: "button", "data-key": key, onclick: () => sortLabels(key) }, name(text), arrow));
}

function sortLabels(key) {
  labelTable.up = labelTable.sort === key ? !labelTable.up : true;
  labelTable.sort = key;
  drawLabels();
  byId("label-table").querySelector(`button[data-key="${key}"]`).focus();
}

function labelRow(row, reach) {
  const interval = row.low === null ? "—" : `${signed(row.low)} to ${signed(row.high)}`, isChosen = row.label === state.label;
  return el("tr", { class: isChosen ? `${row.kind} chosen` : row.kind, "data-name": row.name, "aria-current": isChosen ? "true" : null },
    el("th", { scope: "row" }, name(row.name)),
    el("td", { class: "n" }, three(row.baseline)), el("td", { class: "n" }, three(row.candidate)),
    el("td", { class: "n moved" }, signed(row.difference)), el("td", { class: "axis" }, whisker(row, reach)),
    el("td", { class: "n" }, interval), hasP ? el("td", { class: "n" }, row.holm || "—") : null, el("td", { class: "judged" }, row.judgement));
}
