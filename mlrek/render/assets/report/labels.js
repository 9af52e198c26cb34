// ---- table of labels ----------------------------------------------------------------------

const COLUMNS = [
  ["support", data.counted === "images" ? "images" : data.counted, "count"], ["f1", "F1", "bar"], ["precision", "precision", "share"], ["recall", "recall", "share"],
  ["iou", "IoU", "bar"], ["dice", "Dice", "share"], ["ap", "AP", "share"], ["roc_auc", "AUC", "share"],
  ["tp", "TP", "count"], ["fp", "FP", "count"], ["fn", "FN", "count"], ["threshold", "assumed threshold", "share"],
  ["at_threshold_f1", "F1 at that threshold", "share"], ["reported_f1", `${data.who} F1`, "share"],
].filter(([key]) => data.columns[key]);

const BY_RULE = { top1: "each image's top label is its answer", threshold: "the surest label that reaches its assumed threshold is the answer", notebook: "each record is an answer" }[data.rule] || "what the version predicts";
/** What headers mean that could be taken for one another. */
const MEANINGS = {
  f1: `F1 by the version's own rule: ${BY_RULE}.`,
  threshold: "The assumed threshold: the confidence from which on a label is taken as predicted.",
  at_threshold_f1: "F1 at that threshold: each label by itself, predicted wherever its confidence reaches its assumed threshold; several labels of an image may.",
  reported_f1: `The ${data.who} F1: the number as it was published, not computed here.`,
};

const table = { sort: data.columns.f1 ? "f1" : COLUMNS.length ? COLUMNS[0][0] : "label", up: true, search: "", all: false };

function startLabels() {
  if (!labels.length || !COLUMNS.length) return;
  byId("labels").hidden = false;
  if (labels.length > 10) byId("labels-controls").append(search("Search labels", (text) => { table.search = text; drawLabels(); }));
  drawLabels();
}

function drawLabels() {
  const value = (i) => (table.sort === "label" ? i : data.columns[table.sort][i]);
  let codes = labels.map((_, i) => i);
  if (table.search) codes = codes.filter((i) => labels[i].toLowerCase().includes(table.search.toLowerCase()));
  codes.sort((a, b) => {
    const x = value(a), y = value(b);
    if (x === null || y === null) return (x === null) - (y === null) || a - b;
    return (table.up ? x - y : y - x) || a - b;
  });
  const most = table.all ? codes.length : 50;
  const head = el("tr", {}, [["label", "label"], ...COLUMNS].map(([key, text]) =>
    el("th", { scope: "col", "aria-sort": table.sort === key ? (table.up ? "ascending" : "descending") : null },
      el("button", { type: "button", "data-key": key, title: MEANINGS[key] || null, onclick: () => sortBy(key) }, `${text}${table.sort === key ? (table.up ? " ↑" : " ↓") : ""}`))));
  const body = codes.slice(0, most).map((i) => el("tr", {},
    el("th", { scope: "row", title: labels[i] }, rows ? el("button", { type: "button", onclick: () => openLabel(i) }, name(labels[i])) : name(labels[i])),
    COLUMNS.map(([key, , kind]) => tableCell(data.columns[key][i], key, kind, i))));
  byId("labels-table").replaceChildren(el("table", { class: "data" }, el("thead", {}, head), el("tbody", {}, body)));
  if (!codes.length) byId("labels-table").replaceChildren(el("p", {}, `No label's name contains “${table.search}”.`));
  const said = ["f1", "at_threshold_f1", "reported_f1"].filter((key) => data.columns[key]);
  const note = [el("span", {}, `${rows ? "A label's name opens its images. " : ""}${said.length > 1 ? said.map((key) => MEANINGS[key]).join(" ") : ""} `)];
  if (codes.length > most) note.push(el("button", { type: "button", class: "more", onclick: () => { table.all = true; drawLabels(); } }, `Show all ${codes.length} labels`));
  byId("labels-note").replaceChildren(...note);
}

function tableCell(value, key, kind, i) {
  if (value === null) return el("td", { class: "quiet" }, "—");
  if (kind === "count") return el("td", {}, count(value));
  const low = data.columns[`${key}_low`], high = data.columns[`${key}_high`];
  const title = low && low[i] !== null ? `95 % interval ${span([low[i], high[i]])}` : null;
  const bar = kind === "bar" ? el("span", { class: "bar", "aria-hidden": "true" }, el("i", { style: `width:${100 * value}%` })) : null;
  return el("td", { title }, three(value), bar);
}

function sortBy(key) {
  table.up = table.sort === key ? !table.up : key === "label" || !["support", "tp"].includes(key);
  table.sort = key;
  drawLabels();
  byId("labels-table").querySelector(`button[data-key="${key}"]`).focus();
}

function openLabel(i) {
  setLabel(i);
  byId("images").scrollIntoView();
}
