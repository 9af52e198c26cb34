// ---- labels x versions --------------------------------------------------------------------

const FIRST_LABELS = 50;
const table = { metric: data.label_metrics.length ? data.label_metrics[0][0] : "", sort: "label", up: true, search: "", all: false, ends: versions.length <= 6 };

const labelValue = (version, code, column) => {
  const k = version.place.get(code), values = version.columns[column];
  return k === undefined || !values ? null : values[k];
};

/** The newest version with one before it on the same test set, and that one. */
function latestPair() {
  for (let i = versions.length - 1; i >= 0; i--) { const was = before(versions[i]); if (was) return [was, versions[i]]; }
  return null;
}

const pair = latestPair();
const tabled = versions.filter((v) => Object.keys(v.columns).length);

function startLabels() {
  if (!data.label_metrics.length) return;
  byId("labels").hidden = false;
  const set = (key) => (value) => { table[key] = value; drawLabels(); };
  const controls = byId("labels-controls");
  if (labels.length > 8) controls.append(search("Search labels", set("search")));
  if (data.label_metrics.length > 1) controls.append(select("Number", data.label_metrics, table.metric, set("metric")).node);
  const orders = [["label", "label order"], ["name", "A–Z"], ["support", `most ${data.counted}`], ...(pair ? [["change", "largest change"]] : []), ...tabled.slice(-1).map((v) => [`v${v.i}`, "lowest in the newest"])];
  orderBox = select("Order", [...orders, ["column", "a version's column"]], "label", (value) => { if (value !== "column") { table.sort = value; table.up = value !== "support" && value !== "change"; drawLabels(); } });
  controls.append(orderBox.node, choice("Intervals", [["on", "shown"], ["off", "hidden"]], table.ends ? "on" : "off", (value) => { table.ends = value === "on"; drawLabels(); }).node);
  byId("labels-all").addEventListener("click", () => { table.all = true; drawLabels(); });
  drawLabels();
  scrollToNewest(byId("labels-table"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawLabels);
}

let orderBox = null;

function labelChange(code) {
  if (!pair) return null;
  const [was, is] = pair.map((v) => labelValue(v, code, table.metric));
  return was === null || is === null ? null : is - was;
}

const labelSupport = (code) => { for (let i = tabled.length - 1; i >= 0; i--) { const n = labelValue(tabled[i], code, "support"); if (n !== null) return n; } return null; };

function sortLabels(found) {
  const sort = table.sort;
  if (sort === "name") return found.sort((a, b) => labels[a].localeCompare(labels[b], "en", { numeric: true }) * (table.up ? 1 : -1));
  if (sort === "label") return table.up ? found : found.reverse();
  const value = sort === "support" ? labelSupport : sort === "change" ? (c) => { const d = labelChange(c); return d === null ? null : Math.abs(d); } : (c) => labelValue(versions[Number(sort.slice(1))], c, table.metric);
  const keyed = found.map((code) => [code, value(code)]);
  keyed.sort(([a, x], [b, y]) => (x === null || y === null ? (x === null) - (y === null) || a - b : (table.up ? x - y : y - x) || a - b));
  return keyed.map(([code]) => code);
}

function drawLabels() {
  const word = table.search.toLowerCase(), metric = table.metric;
  const found = sortLabels(labels.map((_, i) => i).filter((i) => !word || labels[i].toLowerCase().includes(word)));
  const most = table.all ? found.length : FIRST_LABELS;
  const title = data.label_metrics.find(([key]) => key === metric)[1];
  const known = tabled.flatMap((v) => (v.columns[metric] || []).filter((x) => x !== null));
  const low = known.reduce((a, b) => Math.min(a, b), 1), high = known.reduce((a, b) => Math.max(a, b), 0);
  const ink = { over: colourOf("--heat-right"), under: colourOf("--heat-none") };
  byId("labels-lead").textContent = `${title[0].toUpperCase()}${title.slice(1)} of each label in each version${known.length ? `; the darker a cell, the higher, from ${three(low)} to ${three(high)}` : ""}.${pair ? ` The change is ${pair[1].name} minus ${pair[0].name}, the newest two of one test set; it tells nothing of how sure it is.` : ""}`;
  const sorted = (key) => (table.sort === key ? (table.up ? "ascending" : "descending") : null);
  const arrow = (key) => (table.sort === key ? (table.up ? " ↑" : " ↓") : "");
  const sortButton = (key, text, node) => el("button", { type: "button", "data-sort": key, title: text, onclick: () => sortBy(key) }, node, arrow(key));
  const head = el("tr", {}, el("th", { scope: "col", "aria-sort": sorted("name") }, sortButton("name", "label", "label")),
    tabled.map((v) => { const th = versionHead(v, sortButton(`v${v.i}`, v.name, name(short(v.name, 20)))); const way = sorted(`v${v.i}`); if (way) th.setAttribute("aria-sort", way); return th; }),
    pair ? el("th", { scope: "col", "aria-sort": sorted("change") }, sortButton("change", `${pair[1].name} minus ${pair[0].name}`, "change")) : null,
    el("th", { scope: "col", "aria-sort": sorted("support") }, sortButton("support", data.counted, data.counted)));
  const body = found.slice(0, most).map((code) => {
    const support = labelSupport(code), change = labelChange(code);
    return el("tr", { "data-label": labels[code] }, el("th", { scope: "row", title: labels[code] }, name(short(labels[code], 40))), tabled.map((v) => labelCell(v, code, metric, low, high, ink)),
      pair ? (change === null ? undefinedCell("not a number of both versions") : el("td", { "data-change": change }, signed(change))) : null, support === null ? undefinedCell("not known") : el("td", {}, count(support)));
  });
  byId("labels-table").replaceChildren(el("table", { class: "wide-table" }, el("thead", {}, head), el("tbody", {}, body)));
  byId("labels-note").textContent = found.length ? (word ? `${plural(found.length, "label")} found.` : "") : "No such label.";
  byId("labels-all").hidden = found.length <= most;
  byId("labels-all").textContent = `Show all ${count(found.length)} labels`;
}

function labelCell(version, code, metric, low, high, ink) {
  const value = labelValue(version, code, metric);
  if (value === null) return undefinedCell(version.place.has(code) ? (version.columns[metric] ? "undefined: nothing of this label to count" : "this number of labels is not on this page for this version") : "the version does not know this label");
  const colour = blend(ink.over, ink.under, high > low ? (0.7 * (value - low)) / (high - low) : 0.3);
  const from = labelValue(version, code, `${metric}_low`), to = labelValue(version, code, `${metric}_high`);
  const ends = from === null || to === null ? "" : `${from.toFixed(2)}–${to.toFixed(2)}`;
  const n = labelValue(version, code, "support");
  return el("td", { "data-version": version.i, style: `background:${toHex(colour)};color:${inkOn(colour)}`, title: `${version.name}: ${ends ? `95 % interval ${ends}, ` : ""}${n === null ? "" : `${count(n)} ${data.counted}`}` },
    three(value), table.ends && ends ? el("span", { style: "display:block;font-size:12px" }, ends) : null);
}

function sortBy(key) {
  table.up = table.sort === key ? !table.up : key !== "support" && key !== "change";
  table.sort = key;
  const listed = [...orderBox.node.querySelectorAll("option")].some((option) => option.value === key);
  orderBox.set(listed ? key : "column");
  drawLabels();
  byId("labels-table").querySelector(`button[data-sort="${key}"]`).focus({ preventScroll: true });
}
