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
