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
  const byLabel = labels.map(() => []), confidence = new Map(), byImage = new Map();
  for (let r = 0; r < label.length; r++) {
    const sure = code[r] < 0 ? -1 : code[r] >> 1;
    byLabel[label[r]].push({ image: image[r], sure, label: label[r], isTrue: code[r] < 0 || (code[r] & 1) === 1 });
    confidence.set(image[r] * labels.length + label[r], sure);
  }
  const ofImage = (i) => {
    if (!byImage.size) byLabel.flat().forEach((item) => (byImage.get(item.image) || byImage.set(item.image, []).get(item.image)).push(item));
    return byImage.get(i) || [];
  };
  return { byLabel, ofImage, of: (i, l) => confidence.get(i * labels.length + l) ?? -1 };
})();

const sure = (confidence) => (confidence < 0 ? null : (confidence / 100000).toFixed(4));
const bySure = (a, b) => (a.sure < 0) - (b.sure < 0) || a.sure - b.sure || a.image - b.image;
const byRule = new Map();
const recordsBySure = new Map();

/** Images of each outcome of a label (-1: of each) by the version's own predictions, the least sure first. */
function outcomesByRule(label) {
  if (!byRule.has(label)) byRule.set(label, findByRule(label));
  return byRule.get(label);
}

function findByRule(wanted) {
  const found = { tp: [], fn: [], fp: [] };
  if (!rows) return found;
  const isWanted = (label) => label >= 0 && (wanted < 0 || label === wanted);
  for (let r = 0; r < rows.n; r++) {
    const t = rows.truth[r], p = rows.predicted[r], image = rows.image[r];
    if (data.task === "classification" && t < 0) continue;
    if (t === p) {
      if (isWanted(t)) found.tp.push({ image, sure: rows.confidence[r], row: r, label: t });
      continue;
    }
    if (isWanted(p)) found.fp.push({ image, sure: rows.confidence[r], row: r, label: p });
    if (isWanted(t)) found.fn.push({ image, sure: records ? records.of(image, t) : -1, row: r, label: t });
  }
  OUTCOMES.forEach((outcome) => found[outcome].sort(bySure));
  return found;
}

/** The same where what reaches the threshold is predicted. */
function outcomesAt(label, step) {
  const found = { tp: [], fn: [], fp: [] };
  const reaches = (sure) => Math.floor(sure / 1000) >= step;
  if (records) {
    for (const item of listRecords(label)) {
      const hit = item.sure >= 0 && reaches(item.sure);
      if (item.isTrue) found[hit ? "tp" : "fn"].push(item);
      else if (hit) found.fp.push(item);
    }
    return found;
  }
  for (const [outcome, items] of Object.entries(outcomesByRule(label))) {
    for (const item of items) {
      if (outcome === "fn" || reaches(item.sure)) found[outcome].push(item);
      else if (outcome === "tp") found.fn.push(item);
    }
  }
  found.fn.sort(bySure);
  return found;
}

/** The records of a label (-1: of all), the least sure first. */
function listRecords(label) {
  if (!recordsBySure.has(label)) recordsBySure.set(label, (label < 0 ? records.byLabel.flat() : records.byLabel[label]).sort(bySure));
  return recordsBySure.get(label);
}

// ---- a card for an image ------------------------------------------------------------------

const labelText = (code) => (code < 0 ? (isDetection ? "(background)" : "(none)") : labels[code]);

/** A picture with what is drawn over it; `large` is that of the large view. */
function picture(i, row, large = false) {
  const source = images.thumbnail(i);
  if (isDetection && rows.frames) return scene(i, source, row, large);
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
function scene(i, source, row, large) {
  const width = rows.frames[2 * i], height = rows.frames[2 * i + 1];
  const layer = svg("svg", { viewBox: "0 0 1000 1000", preserveAspectRatio: "none", style: `aspect-ratio:${width}/${height}`, role: "img", "aria-label": describeBoxes(i) });
  const tags = [];
  for (const r of rowsOf[i]) {
    const [left, top, right, bottom] = rows.boxes.slice(4 * r, 4 * r + 4);
    if (right <= left || bottom <= top) continue;
    const box = { x: left, y: top, width: right - left, height: bottom - top };
    const kind = rows.predicted[r] < 0 ? "fn" : rows.truth[r] === rows.predicted[r] ? "tp" : "fp";
    const look = row === undefined ? "" : r === row ? "this" : "other";
    const about = svg("title", {}, `${labelText(rows.predicted[r])}, true: ${labelText(rows.truth[r])}`);
    layer.append(svg("rect", { ...box, class: `back of-${kind} ${look}` }), svg("rect", { ...box, class: `${kind} ${look}` }, about));
    tags.push(el("span", { class: `tag-box ${kind}`, style: `left:${Math.max(left, 0) / 10}%;top:${Math.max(top, 0) / 10}%`, "aria-hidden": "true" }, name(short(labelText(kind === "fn" ? rows.truth[r] : rows.predicted[r]), 18))));
  }
  const shape = large ? `max-width:min(100%, calc(66vh * ${(width / height).toFixed(4)}))` : null;
  return el("span", { class: "scene", style: shape }, source ? el("img", { src: source, alt: "" }) : null, layer, large && tags.length <= MOST_TAGS ? tags : null);
}

const MOST_TAGS = 24;

/** How many boxes of an image are found, false alarms, missed. */
function countBoxes(i) {
  const kinds = rowsOf[i].map((r) => (rows.predicted[r] < 0 ? 2 : rows.truth[r] === rows.predicted[r] ? 0 : 1));
  return [0, 1, 2].map((kind) => kinds.filter((k) => k === kind).length);
}

function describeBoxes(i) {
  const [found, wrong, missed] = countBoxes(i);
  return `${found} found, ${plural(wrong, "false alarm")}, ${missed} missed`;
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
  return makeCard({
    uri: images.uri(i), file: images.file(i), look, picture: picture(i, item.row),
    lines: isDetection
      ? [note ? el("span", { class: "what" }, note) : null, el("span", { class: "name" }, words(i))]
      : [el("span", { class: "what" }, words(i)), note ? el("span", { class: "what" }, note) : null],
    view: () => enlarge(item),
  });
}

const listOptions = { large: isDetection || data.task === "segmentation" };

// ---- an image large -----------------------------------------------------------------------

function enlarge({ image, row }) {
  const shown = picture(image, row, true);
  return { picture: shown, words: [el("span", {}, words(image))], facts: [shown && listToggles(image, shown), listScores(image), sayLeftOut(), data.slices ? saySlicesOf(image) : null] };
}

/** What can be hidden of the boxes or the masks on a picture. */
function listToggles(i, shown) {
  if (isDetection && rows.frames) {
    const n = countBoxes(i);
    return toggles(shown, [["tp", `found (${n[0]})`], ["fp", `false alarms (${n[1]})`], ["fn", `missed (${n[2]})`]]);
  }
  return data.masks[i] && images.thumbnail(i) ? toggles(shown, [["mask", "masks"]]) : null;
}

/** All that is recorded of an image: its labels, or its boxes, the surest first. */
function listScores(i) {
  const share = (confidence) => (confidence < 0 ? null : confidence / 100000);
  if (isDetection) {
    const boxes = [...rowsOf[i]].sort((a, b) => rows.confidence[b] - rows.confidence[a]);
    return scoreTable("All boxes", boxes.map((r) => [name(labelText(rows.predicted[r] < 0 ? rows.truth[r] : rows.predicted[r])), share(rows.confidence[r]), [markBox(r)]]));
  }
  const truth = new Set(), predicted = new Map(), found = new Map();
  for (const r of rowsOf[i]) {
    if (rows.truth[r] >= 0) truth.add(rows.truth[r]);
    if (rows.predicted[r] >= 0) predicted.set(rows.predicted[r], rows.confidence[r]);
  }
  truth.forEach((label) => found.set(label, -1));
  predicted.forEach((confidence, label) => found.set(label, confidence));
  if (records) records.ofImage(i).forEach(({ label, sure: confidence }) => found.set(label, Math.max(confidence, found.get(label) ?? -1)));
  const scored = [...found].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  const marks = (label) => [truth.has(label) ? ["true", "true"] : null, predicted.has(label) ? [truth.has(label) ? "right" : "wrong", "predicted"] : null].filter(Boolean);
  return scored.some(([, confidence]) => confidence >= 0) ? scoreTable("All labels that are recorded", scored.map(([label, confidence]) => [name(labels[label]), share(confidence), marks(label)])) : null;
}

function markBox(r) {
  const [t, p] = [rows.truth[r], rows.predicted[r]];
  if (p < 0) return ["fn", "missed"];
  if (t === p) return ["tp", "found"];
  return ["fp", el("span", {}, "false alarm", rows.errors[r] ? ` · ${rows.errors[r]}` : "", t >= 0 ? [" · in truth ", name(labels[t])] : null)];
}

function sayLeftOut() {
  if (!records || !data.records.left_out) return null;
  return el("p", { class: "quiet" }, `${count(data.records.left_out)} records of labels that are not true are not on this page, the least sure ones; evaluation.parquet has all.`);
}

/** How many there are, and how many of them this page holds. */
function held(shown, total) {
  const counted = isDetection ? plural(total, "box", "boxes") : state.label < 0 && data.task === "multilabel" ? plural(total, "label") : plural(total, "image");
  return shown >= total ? counted : `${count(shown)} of ${counted}: this page holds ${count(images.n)} of ${count(images.total)} images`;
}
