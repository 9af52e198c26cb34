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
