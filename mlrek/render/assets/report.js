const data = JSON.parse(byId("data").textContent);
const labels = data.labels;
const isDetection = data.task === "detection";
const OUTCOMES = ["tp", "fn", "fp"];
const state = { label: -1, step: 50, gallery: 0, by: "rule", matrix: { order: "label", unit: "count", most: 25, search: "" } };

// ---- what the page knows of single images -------------------------------------------------

const images = (() => {
  const { prefix, names, thumbnails, total } = data.images;
  const file = (i) => (prefix + names[i]).split("/").pop() || prefix + names[i];
  return { n: names.length, total, thumbnail: (i) => thumbnails[i], uri: (i) => prefix + names[i], file };
})();

const rows = data.rows && { ...data.rows, image: decodeRising(data.rows.image), n: data.rows.truth.length };
const rowsOf = Array.from({ length: images.n }, () => []);
if (rows) for (let r = 0; r < rows.n; r++) rowsOf[rows.image[r]].push(r);

const records = data.records && (() => {
  const image = decodeRising(data.records.image), { label, code } = data.records;
  const byLabel = labels.map(() => []), confidence = new Map();
  for (let r = 0; r < label.length; r++) {
    const sure = code[r] < 0 ? -1 : code[r] >> 1;
    byLabel[label[r]].push({ image: image[r], sure, isTrue: code[r] < 0 || (code[r] & 1) === 1 });
    confidence.set(image[r] * labels.length + label[r], sure);
  }
  return { byLabel, of: (i, l) => confidence.get(i * labels.length + l) ?? -1 };
})();

const sure = (confidence) => (confidence < 0 ? null : (confidence / 100000).toFixed(4));
const bySure = (a, b) => (a.sure < 0) - (b.sure < 0) || a.sure - b.sure || a.image - b.image;

/** Images of each outcome of a label by the version's own predictions, the least sure first. */
function outcomesByRule(label) {
  const found = { tp: [], fn: [], fp: [] };
  if (!rows) return found;
  for (let r = 0; r < rows.n; r++) {
    const t = rows.truth[r], p = rows.predicted[r], i = rows.image[r];
    if (data.task === "classification" && t < 0) continue;
    if (t === label && p === label) found.tp.push({ image: i, sure: rows.confidence[r], row: r });
    else if (p === label) found.fp.push({ image: i, sure: rows.confidence[r], row: r });
    else if (t === label) found.fn.push({ image: i, sure: records ? records.of(i, label) : -1, row: r });
  }
  OUTCOMES.forEach((name) => found[name].sort(bySure));
  return found;
}

/** The same where what reaches the threshold is predicted. */
function outcomesAt(label, step) {
  const found = { tp: [], fn: [], fp: [] };
  const reaches = (sure) => Math.floor(sure / 1000) >= step;
  if (records) {
    for (const item of records.byLabel[label]) {
      const hit = item.sure >= 0 && reaches(item.sure);
      if (item.isTrue) found[hit ? "tp" : "fn"].push(item);
      else if (hit) found.fp.push(item);
    }
  } else {
    for (const [name, items] of Object.entries(outcomesByRule(label))) {
      for (const item of items) {
        if (name === "fn" || reaches(item.sure)) found[name].push(item);
        else if (name === "tp") found.fn.push(item);
      }
    }
  }
  OUTCOMES.forEach((name) => found[name].sort(bySure));
  return found;
}

// ---- a card for an image ------------------------------------------------------------------

const labelText = (code) => (code < 0 ? (isDetection ? "(background)" : "(none)") : labels[code]);

function picture(i, row) {
  const source = images.thumbnail(i);
  if (isDetection && rows.frames) return scene(i, source, row);
  const mask = data.masks[i];
  if (!source && !mask) return null;
  if (mask) {
    return el("span", { class: "picture masked" }, el("span", { class: "stack" },
      source ? el("img", { src: source, alt: "" }) : null,
      el("img", { src: mask, alt: "masks: blue agrees, orange is predicted alone, purple is missed", class: source ? "mask" : null })));
  }
  const img = el("img", { src: source, alt: "", onload: () => img.naturalWidth < 48 && img.classList.add("tiny") });
  return el("span", { class: "picture" }, img);
}

/** Boxes over the picture, or over nothing where it could not be read; one row's stands out. */
function scene(i, source, row) {
  const width = rows.frames[2 * i], height = rows.frames[2 * i + 1];
  const layer = svg("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", style: `aspect-ratio:${width}/${height}`, role: "img", "aria-label": describeBoxes(i) });
  for (const r of rowsOf[i]) {
    const [left, top, right, bottom] = rows.boxes.slice(4 * r, 4 * r + 4);
    if (right <= left || bottom <= top) continue;
    const box = { x: left, y: top, width: right - left, height: bottom - top };
    const kind = rows.predicted[r] < 0 ? "fn" : rows.truth[r] === rows.predicted[r] ? "tp" : "fp";
    const look = row === undefined ? "" : r === row ? "this" : "other";
    const about = svg("title", {}, `${labelText(rows.predicted[r])}, true: ${labelText(rows.truth[r])}`);
    layer.append(svg("rect", { ...box, class: `back ${look}` }), svg("rect", { ...box, class: `${kind} ${look}` }, about));
  }
  return el("span", { class: "scene" }, source ? el("img", { src: source, alt: "" }) : null, layer);
}

function describeBoxes(i) {
  const kinds = rowsOf[i].map((r) => (rows.predicted[r] < 0 ? 2 : rows.truth[r] === rows.predicted[r] ? 0 : 1));
  const n = (kind) => kinds.filter((k) => k === kind).length;
  return `${n(0)} found, ${plural(n(1), "false alarm")}, ${n(2)} missed`;
}

/** What is true and what is predicted on an image, in words. */
function words(i) {
  if (isDetection) return [describeBoxes(i)];
  const truth = [], predicted = [];
  for (const r of rowsOf[i]) {
    if (rows.truth[r] >= 0 && !truth.includes(rows.truth[r])) truth.push(rows.truth[r]);
    if (rows.predicted[r] >= 0) predicted.push([rows.predicted[r], sure(rows.confidence[r])]);
  }
  const listed = (nodes) => (nodes.length ? nodes.flatMap((node, k) => (k ? [", ", node] : [node])) : ["(none)"]);
  return [
    "true ", ...listed(truth.map((t) => el("b", {}, name(short(labels[t], 32))))), el("br"), "predicted ",
    ...listed(predicted.map(([p, c]) => el("span", {}, el("b", {}, name(short(labels[p], 32))), c ? " " + c : ""))),
  ];
}

function card(item, look, note) {
  const i = item.image;
  return el("li", { class: `card ${look || ""}`, "data-image": images.uri(i) },
    picture(i, item.row), isDetection && note ? el("span", { class: "what" }, note) : null,
    el("span", { class: isDetection ? "name" : "what" }, words(i)),
    !isDetection && note ? el("span", { class: "what" }, note) : null,
    el("span", { class: "name", title: images.uri(i) }, name(images.file(i))));
}

const listOptions = { large: isDetection || data.task === "segmentation" };

/** How many there are, and how many of them this page holds. */
function held(shown, total) {
  return shown >= total ? plural(total, "image") : `${count(shown)} of ${count(total)} images: this page holds ${count(images.n)} of ${count(images.total)}`;
}

// ---- threshold ----------------------------------------------------------------------------

/** The counts of this version at any threshold; without images what the service publishes. */
const curves = data.curves ? computedCurves() : Object.keys(data.published).length ? publishedCurves() : null;

function computedCurves() {
  const { tp, fp, support, all_tp, all_fp } = data.curves, decoded = new Map();
  const decode = (label) => label < 0
    ? { tp: decodeFalling(all_tp), fp: decodeFalling(all_fp), support: support.reduce((a, b) => a + b, 0) }
    : { tp: decodeFalling(tp[label]), fp: decodeFalling(fp[label]), support: support[label] };
  const of = (label) => {
    if (!decoded.has(label)) decoded.set(label, decode(label));
    return decoded.get(label);
  };
  const steps = Array.from({ length: 101 }, (_, i) => i);
  return {
    at(label, step) {
      const c = of(label), t = c.tp[step], f = c.fp[step], n = c.support - t;
      return { tp: t, fp: f, fn: n, precision: divide(t, t + f), recall: divide(t, t + n), f1: divide(2 * t, 2 * t + f + n) };
    },
    from: (label) => (label < 0 ? data.curves.from_step : data.curves.from_steps[label]),
    support: (label) => of(label).support,
    steps: () => steps, labels: labels.map((_, i) => i), stopsAt: data.curves.stops_at, images: data.curves.images,
  };
}

function publishedCurves() {
  const known = Object.keys(data.published).map(Number);
  return {
    at(label, step) {
      const found = findPublished(label, step / 100) || {};
      const numbers = ["tp", "fp", "fn", "precision", "recall", "f1"].map((key) => [key, found[key] ?? NaN]);
      return { at: found.at, ...Object.fromEntries(numbers) };
    },
    from: () => 0, support: () => NaN,
    steps: (label) => [...new Set((data.published[label] || { thresholds: [] }).thresholds.map((t) => Math.round(100 * t)))],
    labels: known.filter((label) => label >= 0), stopsAt: "", images: null,
  };
}

/** Where a threshold may be looked for: where the records are complete. */
const listSteps = (label) => curves.steps(label).filter((step) => step >= (curves.from(label) ?? 101));

/** The step with the best F1, the lowest of equal ones; null where records do not carry it. */
function bestF1(label) {
  let best = null, value = -1;
  for (const step of listSteps(label)) {
    const { f1 } = curves.at(label, step);
    if (f1 > value) { best = step; value = f1; }
  }
  return value > 0 ? best : null;
}

/** What can be promised of a precision: { step, n, wrong, needed, least }; null where records do not tell. */
function advise(label, goal) {
  const advice = data.curves && data.curves.advice, all = advice && (label < 0 ? advice.all : advice.labels[label]);
  if (!all) return null;
  const i = advice.goals.indexOf(goal), [step, n, wrong, needed] = all[i];
  return { step, n, wrong, needed, least: advice.least[i] };
}

/** The lowest step from which on the precision holds with 95 % confidence; null where none can be promised. */
const promisesPrecision = (label, goal) => advise(label, goal)?.step ?? null;

/** The service's own threshold in percent; null where it publishes none. */
const ownThreshold = (label) => (data.thresholds[label] === null ? null : Number((100 * data.thresholds[label]).toFixed(4)));

function startThreshold() {
  if (!curves) return;
  byId("threshold").hidden = false;
  const slider = byId("threshold-slider"), picker = byId("threshold-label");
  picker.append(el("option", { value: -1 }, "all labels"), ...curves.labels.map((i) => el("option", { value: i }, labels[i])));
  const charts = makeCharts();
  byId("charts").append(...charts.nodes);
  slider.addEventListener("input", () => { state.step = Number(slider.value); useThreshold(); moveThreshold(charts); drawGalleries(); });
  picker.addEventListener("change", () => setLabel(Number(picker.value)));
  setLabel = (label) => {
    state.label = label;
    picker.value = String(label);
    if (label >= 0) state.gallery = label;
    drawMarks(); charts.draw(); moveThreshold(charts); drawAdvice(); drawGalleries();
  };
  goTo = (step) => { slider.value = String(step); state.step = step; useThreshold(); moveThreshold(charts); drawGalleries(); };
  byId("threshold-stops").textContent = curves.stopsAt ? `Mind: ${curves.stopsAt}.` : "";
  if (!data.curves) byId("threshold-lead").textContent = "The service's own numbers, at its published threshold that is nearest; nothing is interpolated.";
  byId("copy-goal").addEventListener("change", writeList);
  byId("copy-button").addEventListener("click", copyList);
  byId("copy-details").addEventListener("toggle", writeList);
  offerLists();
  drawMarks(); charts.draw(); moveThreshold(charts); drawAdvice();
}

let setLabel = (label) => { state.gallery = Math.max(label, 0); drawGalleries(); };
let goTo = () => {};

function drawMarks() {
  const shown = state.label < 0 ? data.thresholds : [data.thresholds[state.label]];
  const known = shown.filter((t) => t !== null);
  byId("threshold-marks").replaceChildren(...[...new Set(known.map((t) => t.toFixed(3)))].map((t) => el("i", { style: `left:${100 * t}%` })));
  let note = "The service assumes no thresholds.";
  if (known.length === 1) note = `Marked: the threshold that the service assumes, ${known[0].toFixed(4)}.`;
  if (known.length > 1) {
    const [least, most] = [Math.min(...known), Math.max(...known)].map((t) => t.toFixed(4));
    note = `Marked: the ${least === most ? `threshold that the service assumes for ${known.length} labels, ${least}` : `thresholds that the service assumes for ${known.length} labels, ${least} to ${most}`}.`;
  }
  byId("threshold-marks-note").textContent = note;
}

function moveThreshold(charts) {
  const now = curves.at(state.label, state.step);
  byId("threshold-value").textContent = `${state.step} %`;
  byId("threshold-slider").setAttribute("aria-valuetext", `${state.step} percent: precision ${three(now.precision)}, recall ${three(now.recall)}`);
  const said = data.curves ? findPublished(state.label, state.step / 100) : null;
  const whole = (n) => (Number.isNaN(n) ? "—" : count(n));
  const cell = (title, key, text, interval) =>
    el("div", {}, el("dt", {}, title), el("dd", {}, el("data", { id: `at-${key}`, value: Number.isNaN(now[key]) ? "" : String(now[key]) }, text), interval ? el("span", { class: "quiet" }, span(interval)) : null,
      said && said[key] !== null ? el("span", { class: "said" }, "service ", el("data", { id: `said-${key}`, value: String(said[key]) }, key.length === 2 && key !== "f1" ? count(said[key]) : three(said[key]))) : null));
  byId("threshold-numbers").replaceChildren(
    cell("precision", "precision", three(now.precision), wilson(now.tp, now.tp + now.fp)),
    cell("recall", "recall", three(now.recall), wilson(now.tp, now.tp + now.fn)),
    cell("F1", "f1", three(now.f1)),
    cell("right (TP)", "tp", whole(now.tp)), cell("false alarms (FP)", "fp", whole(now.fp)), cell("missed (FN)", "fn", whole(now.fn)));
  if (!data.curves) byId("threshold-stops").textContent = now.at === undefined ? "Nothing is published of this label." : `The nearest published threshold is ${now.at}.`;
  charts.move(now);
}

/** What the service itself publishes at the nearest threshold, the lower of two; null: nothing. */
function findPublished(label, threshold) {
  const own = data.published[label];
  if (!own) return null;
  let best = 0;
  own.thresholds.forEach((t, i) => { if (Math.abs(t - threshold) < Math.abs(own.thresholds[best] - threshold) - 1e-9) best = i; });
  return { at: own.thresholds[best], tp: own.tp[best], fp: own.fp[best], fn: own.fn[best], precision: own.precision[best], recall: own.recall[best], f1: own.f1[best] };
}

function makeCharts() {
  const blue = "var(--blue)", orange = "var(--orange)", ink = "var(--ink)";
  const scores = chart({ title: "Over the threshold", x: "confidence threshold", y: "score", lines: [
    { name: "precision", colour: blue }, { name: "recall", colour: orange, dash: "6 3" }, { name: "F1", colour: ink }] });
  const ranked = chart({ title: "Precision and recall", x: "recall", y: "precision", lines: [{ name: "curve", colour: blue }] });
  const roc = curves.images === null ? null
    : chart({ title: "ROC", x: "false positive rate", y: "true positive rate", diagonal: true, lines: [{ name: "curve", colour: blue }] });
  const rates = (now) => {
    const negatives = curves.images * (state.label < 0 ? labels.length : 1) - curves.support(state.label);
    return [divide(now.fp, negatives), now.recall];
  };
  return {
    nodes: [scores, ranked, roc].filter(Boolean).map((c) => c.node),
    draw() {
      const steps = curves.steps(state.label), points = steps.map((step) => curves.at(state.label, step));
      ["precision", "recall", "f1"].forEach((key, k) => scores.draw(k, points.map((p, i) => [steps[i] / 100, p[key]])));
      const own = data.precision_recall.find((curve) => curve.label === state.label);
      ranked.draw(0, own ? own.recall.map((r, i) => [r ?? NaN, own.precision[i] ?? NaN]) : points.map((p) => [p.recall, p.precision]));
      ranked.caption(own && own.area !== null ? `average precision ${three(own.area)}` : "");
      if (roc) {
        roc.draw(0, [...points.map(rates), [0, 0]]);
        const auc = state.label >= 0 && data.columns.roc_auc ? data.columns.roc_auc[state.label] : null;
        roc.caption(auc === null ? "" : `area ${three(auc)}`);
      }
    },
    move(now) {
      const at = state.step / 100;
      scores.move([[at, now.precision], [at, now.recall], [at, now.f1]], at);
      ranked.move([[now.recall, now.precision]]);
      if (roc) roc.move([rates(now)]);
    },
  };
}

function drawAdvice() {
  const label = state.label, items = [];
  const at = (step) => el("button", { type: "button", onclick: () => goTo(step) }, `${step} %`);
  const from = curves.from(label);
  if (from === null) {
    items.push(el("li", {}, `None for ${label < 0 ? "all labels together" : "this label"}: ${curves.stopsAt}.${label < 0 && canAdvise() ? " Choose a label." : ""}`));
  } else {
    const best = bestF1(label);
    if (label < 0 && from > 0 && best === from) {
      items.push(el("li", {}, `No best F1 for all labels together: ${curves.stopsAt}. Choose a label.`));
    } else if (best !== null) {
      const { f1, tp, fp, fn } = curves.at(label, best);
      items.push(el("li", {}, `Best F1 ${three(f1)} at `, at(best), ` (precision ${span(wilson(tp, tp + fp))}, recall ${span(wilson(tp, tp + fn))})${best === from && from > 0 ? "; lower thresholds cannot be judged" : ""}.`));
    }
    if (!data.curves) items.push(el("li", {}, "No precision is promised: the service's own curves alone are there, without the answers that they count."));
    for (const goal of data.curves ? [0.95, 0.99] : []) items.push(el("li", {}, ...sayPrecision(label, goal, at)));
    if (from > 0) items.push(el("li", { class: "quiet" }, `Looked for from ${from} % on, where the records are complete.`));
  }
  byId("advice").replaceChildren(...items);
}

/** Whether the records of any label carry advice. */
const canAdvise = () => curves.labels.some((label) => curves.from(label) !== null);

/** From where on a precision holds with 95 % confidence, or what is missing. */
function sayPrecision(label, goal, at) {
  const found = advise(label, goal), counted = label < 0 || isDetection ? "image" : "prediction";
  if (!found) return [`Precision ≥ ${goal}: ${curves.stopsAt}.`];
  if (found.step !== null) {
    const { tp, fp, fn, precision, recall } = curves.at(label, found.step);
    const by = counted === "image" ? `, counted by images, ${count(found.wrong)} of ${count(found.n)} wrong` : "";
    return [`Precision ≥ ${goal} from `, at(found.step), `: ${three(precision)} (${span(wilson(tp, tp + fp))}), with recall ${three(recall)} (${span(wilson(tp, tp + fn))}); true with 95 % confidence${by}.`];
  }
  if (found.n < found.least) return [`Precision ≥ ${goal} cannot be promised: ${plural(found.n, counted)}, at least ${count(found.least)} are needed.`];
  const seen = `of the ${count(found.n)} surest ${counted}s ${count(found.wrong)} ${found.wrong === 1 ? "is" : "are"} wrong`;
  const missing = found.needed === null ? "which is not less than that allows" : `about ${count(found.needed)} would be needed if as many stay right`;
  return [`Precision ≥ ${goal} cannot be promised: ${seen}, ${missing}.`];
}

/** The lists that there is something to copy of; none at all where nothing is. */
function offerLists() {
  const picker = byId("copy-goal"), hasOwn = curves.labels.some((label) => ownThreshold(label) !== null);
  for (const option of [...picker.options]) {
    const isOwn = option.value === "service", isPrecision = !isOwn && option.value !== "f1";
    if (isOwn ? !hasOwn : !canAdvise() || (isPrecision && !data.curves)) option.remove();
  }
  byId("copy-details").hidden = !picker.options.length;
}

function writeList() {
  const goal = byId("copy-goal").value, chosen = {};
  const choose = goal === "f1" ? bestF1 : goal === "service" ? ownThreshold : (label) => promisesPrecision(label, Number(goal));
  curves.labels.forEach((i) => {
    const step = choose(i);
    if (step !== null) Object.defineProperty(chosen, labels[i], { value: step, enumerable: true }); // __proto__ is a name too
  });
  const known = Object.keys(chosen).length, lacking = curves.labels.length - known;
  const why = goal === "f1" ? "no threshold does it" : goal === "service" ? "the service has none" : "it cannot be promised; the advice on each label says what is missing";
  byId("copy-text").value = known ? JSON.stringify(chosen, null, 1) : "";
  byId("copy-note").textContent = lacking ? `${known ? `${plural(lacking, "label")} left out` : "Nothing to copy"}: ${why}` : "";
}

function copyList() {
  const text = byId("copy-text");
  text.focus(); text.select();
  let done = false;
  try { done = document.execCommand("copy"); } catch { done = false; }
  byId("copy-note").textContent = done ? "Copied." : "Selected: press Ctrl+C.";
}

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

// ---- table of labels ----------------------------------------------------------------------

const COLUMNS = [
  ["support", data.counted === "images" ? "images" : data.counted, "count"], ["f1", "F1", "bar"], ["precision", "precision", "share"], ["recall", "recall", "share"],
  ["iou", "IoU", "bar"], ["dice", "Dice", "share"], ["ap", "AP", "share"], ["roc_auc", "AUC", "share"],
  ["tp", "TP", "count"], ["fp", "FP", "count"], ["fn", "FN", "count"], ["threshold", "assumed threshold", "share"],
  ["at_threshold_f1", "F1 there", "share"], ["reported_f1", "service's F1", "share"],
].filter(([key]) => data.columns[key]);

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
      el("button", { type: "button", "data-key": key, onclick: () => sortBy(key) }, `${text}${table.sort === key ? (table.up ? " ↑" : " ↓") : ""}`))));
  const body = codes.slice(0, most).map((i) => el("tr", {},
    el("th", { scope: "row", title: labels[i] }, rows ? el("button", { type: "button", onclick: () => openLabel(i) }, name(labels[i])) : name(labels[i])),
    COLUMNS.map(([key, , kind]) => tableCell(data.columns[key][i], key, kind, i))));
  byId("labels-table").replaceChildren(el("table", { class: "data" }, el("thead", {}, head), el("tbody", {}, body)));
  const note = rows ? [el("span", {}, "A label's name opens its images. ")] : [];
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
  state.gallery = i;
  drawGalleries();
  byId("images").scrollIntoView();
}

// ---- galleries ----------------------------------------------------------------------------

const TITLES = { fp: "False alarms", fn: "Missed", tp: "Right" };
let galleryControls = null;

function useThreshold() {
  state.by = "threshold";
  if (galleryControls && galleryControls.by) galleryControls.by.press("threshold");
}

function startGalleries() {
  if (!rows || !images.n || !labels.length) return;
  byId("images").hidden = false;
  const worst = data.columns.f1 ? data.columns.f1.reduce((w, v, i, f1) => (v !== null && (f1[w] === null || v < f1[w]) ? i : w), 0) : 0;
  state.gallery = worst;
  const pick = select("Label", labels.map((label, i) => [i, label]), worst, (value) => { state.gallery = Number(value); drawGalleries(); });
  galleryControls = { pick };
  byId("images-controls").append(pick.node);
  if (curves) {
    galleryControls.by = choice("Decided by", [["rule", data.rule === "top1" ? "top label" : "the version"], ["threshold", "threshold"]], "rule", (value) => { state.by = value; drawGalleries(); });
    byId("images-controls").append(galleryControls.by.node);
  }
  const notes = [];
  if (images.n < images.total) notes.push(`This page holds ${count(images.n)} of ${count(images.total)} images: of each kind of mistake the surest, of what is right the least sure.`);
  const shown = Object.keys(data.images.thumbnails).length;
  const unread = sayUnread(data.images);
  if (unread) notes.push(unread);
  else if (data.images.asked && !shown) notes.push(`No picture could be read (${count(data.images.asked)} were wanted): they are not there, or access to them is denied.`);
  else if (data.images.asked > shown) notes.push(`${count(shown)} of ${count(data.images.asked)} pictures could be read.`);
  else if (shown && shown < images.n) notes.push(`Pictures are shown of ${count(shown)} of these images.`);
  if (Object.keys(data.masks).length) notes.push("Masks: blue is where both agree, orange what is predicted alone, purple what is missed.");
  if (isDetection) notes.push("Boxes: blue is found, orange a false alarm, dashed what is missed.");
  byId("images-note").textContent = notes.join(" ");
  drawGalleries();
}

function drawGalleries() {
  if (!galleryControls) return;
  const label = state.gallery, at = curves && state.by === "threshold";
  galleryControls.pick.set(label);
  const found = at ? outcomesAt(label, state.step) : outcomesByRule(label);
  const now = at ? curves.at(label, state.step) : null;
  byId("galleries").replaceChildren(...["fp", "fn", "tp"].map((key) => {
    const total = now ? now[key] : data.outcome_totals[label][OUTCOMES.indexOf(key)];
    const items = found[key];
    const about = isDetection ? plural(total, "box", "boxes") : held(items.length, total);
    const note = at ? `at ${state.step} %, ${about}` : about;
    const list = longList(items, (item) => card(item, key === "tp" ? "right" : "wrong", noteOf(item, key, label)), {
      ...listOptions, empty: total ? "None of them is among the images that this page holds." : "None." });
    return el("div", { class: "group", id: `gallery-${key}` }, el("h3", {}, TITLES[key], el("span", { class: "quiet" }, note)), list);
  }));
}

/** Of a missed label how sure the version was of it; of a box its kind of error. */
function noteOf(item, key, label) {
  const text = sure(item.sure);
  if (isDetection) {
    const error = rows.errors[item.row], other = key === "fp" && rows.truth[item.row] >= 0 ? rows.truth[item.row] : key === "fn" ? rows.predicted[item.row] : -1;
    return el("span", {}, el("b", {}, name(labels[label])), text && key !== "fn" ? ` ${text}` : "", error && error !== "missed" ? ` · ${error}` : "",
      other >= 0 && other !== label ? [key === "fn" ? " · taken for " : " · in truth ", name(labels[other])] : null);
  }
  if (data.task === "segmentation" || (key !== "fn" && state.by === "rule")) return null;
  return el("span", {}, name(labels[label]), text ? ` ${text}` : " is not recorded");
}

// ---- likely labelling mistakes, calibration -----------------------------------------------

function startSuspects() {
  if (!rows || !rows.suspects.length) return;
  byId("suspects").hidden = false;
  byId("suspect-cards").append(longList(rows.suspects.map((r) => ({ image: rows.image[r], sure: rows.confidence[r], row: r })),
    (item) => card(item, "wrong", data.task === "multilabel"
      ? el("span", {}, el("b", {}, name(labelText(rows.predicted[item.row]))), ` ${sure(item.sure)} · not in the truth`) : isDetection
      ? el("span", {}, el("b", {}, name(labelText(rows.predicted[item.row]))), ` ${sure(item.sure)} · in truth `, name(labelText(rows.truth[item.row]))) : null),
    listOptions));
}

function startCalibration() {
  const bins = data.calibration;
  if (!bins) return;
  byId("calibration").hidden = false;
  const [ece, low, high] = bins.ece;
  byId("calibration-lead").textContent = `Of predictions that are 80 % sure, 80 % should be right. They miss that by ${three(ece)} on average (ECE${low === null ? "" : `, 95 % interval ${three(low)} to ${three(high)}`}).`;
  const reliability = chart({ title: "Reliability", subtitle: "15 bins of the confidence", x: "mean confidence", y: "share that is right", diagonal: true, lines: [{ name: "version", colour: "var(--blue)" }] });
  const points = bins.confidence.map((c, i) => [c ?? NaN, bins.accuracy[i] ?? NaN]).filter((p) => !p.some(Number.isNaN));
  reliability.draw(0, points);
  const total = bins.count.reduce((a, b) => a + b, 0), largest = Math.max(...bins.count);
  const rowsOfBins = bins.count.map((n, i) => [n, i]).filter(([n]) => n).map(([n, i]) => el("tr", {},
    el("th", { scope: "row" }, `${(i / 15).toFixed(2)}–${((i + 1) / 15).toFixed(2)}`), el("td", {}, count(n), el("span", { class: "bar", "aria-hidden": "true" }, el("i", { style: `width:${(100 * n) / largest}%` }))),
    el("td", {}, three(bins.confidence[i])), el("td", {}, three(bins.accuracy[i]))));
  byId("calibration-chart").append(reliability.node, el("div", { class: "scroll" }, el("table", { class: "data" },
    el("thead", {}, el("tr", {}, ["confidence", `of ${count(total)} images`, "mean", "right"].map((text) => el("th", { scope: "col" }, text)))), el("tbody", {}, rowsOfBins))));
}

startGalleries();
startThreshold();
startMatrix();
startLabels();
startSuspects();
startCalibration();
listSections(byId("contents"));
document.documentElement.dataset.ready = "true";
