// ---- galleries ----------------------------------------------------------------------------

const TITLES = { fp: "False alarms", fn: "Missed", tp: "Right" };
const KINDS = ["fp", "fn", "tp"];
const galleries = {};

function useThreshold() {
  state.by = "threshold";
  if (galleries.by) galleries.by.press("threshold");
}

function startGalleries() {
  if (!rows || !images.n || !labels.length) return;
  byId("images").hidden = false;
  const pick = select("Label", [[-1, "all labels"], ...labels.map((label, i) => [i, label])], state.label, (value) => setLabel(Number(value)));
  galleries.pick = pick;
  if (curves) galleries.by = choice("Decided by", [["rule", data.rule === "top1" ? "top label" : "the version"], ["threshold", "threshold"]], state.by, (value) => { state.by = value; drawGalleries(); });
  galleries.filter = cardFilter({
    kinds: KINDS.map((key) => [key, TITLES[key]]), order: "least", images, change: drawGalleries,
    about: (item) => ({ image: item.image, score: item.sure < 0 ? null : item.sure / 1000 }),
    pictures: Object.keys(data.images.thumbnails).length > 0 && Object.keys(data.images.thumbnails).length < images.n,
  });
  byId("images-controls").append(pick.node, ...(galleries.by ? [galleries.by.node] : []), ...galleries.filter.nodes);
  byId("images-note").textContent = sayAboutImages();
  onLabel.push(drawGalleries);
  drawGalleries();
}

/** What the page holds, whether there are pictures, and what is drawn on them. */
function sayAboutImages() {
  const notes = [];
  if (images.n < images.total) notes.push(`This page holds ${count(images.n)} of ${count(images.total)} images: of each kind of mistake the surest, of what is right the least sure.`);
  notes.push(sayPictures(data.images));
  if (Object.keys(data.masks).length) notes.push("Masks: blue is where both agree, orange what is predicted alone, purple what is missed.");
  if (isDetection) notes.push("Boxes: blue is found, orange a false alarm, dashed what is missed.");
  return notes.filter(Boolean).join(" ");
}

/** How many there are of each outcome on all images. */
function countOutcomes(label, now) {
  if (now) return now;
  const of = (key) => { const k = OUTCOMES.indexOf(key); return label < 0 ? data.outcome_totals.reduce((sum, one) => sum + one[k], 0) : data.outcome_totals[label][k]; };
  return Object.fromEntries(KINDS.map((key) => [key, of(key)]));
}

/** With one label an image, all that is missed is a false alarm of another label: once is enough. */
const isTwice = (label, totals) => data.task === "classification" && label < 0 && state.by === "rule" && totals.fp === totals.fn;

/** Of each outcome those in the slice that is looked at. */
const takeSlice = (found) => (sliced.has ? Object.fromEntries(KINDS.map((key) => [key, found[key].filter(({ image }) => sliced.has[image])])) : found);

function drawGalleries() {
  const { filter, pick } = galleries;
  if (!filter) return;
  const label = state.label, at = curves && state.by === "threshold";
  pick.set(label);
  const found = takeSlice(at ? outcomesAt(label, state.step) : outcomesByRule(label));
  const totals = sliced.row ? countInSlice(label, at, found) : countOutcomes(label, at ? curves.at(label, state.step) : null), twice = isTwice(label, totals);
  if (!filter.toggled()) filter.press(KINDS.filter((key) => !(twice && key === "fn")));
  KINDS.forEach((key) => filter.count(key, totals[key]));
  const shown = KINDS.filter(filter.shows), narrowed = filter.narrows(), counts = [];
  byId("galleries").replaceChildren(...shown.map((key) => {
    const items = filter.arrange(found[key]), all = sliced.row ? heldOfSlice(found[key].length, totals[key], totals.isKnown) : held(found[key].length, totals[key]);
    const note = `${at ? `at ${state.step} %, ` : ""}${narrowed ? `${count(items.length)} found among ` : ""}${all}${twice && key === "fn" ? ", the same as the false alarms" : ""}`;
    counts.push(`${TITLES[key]}: ${note}.`);
    return drawGroup(key, items, note, totals[key] > 0, narrowed);
  }));
  if (!shown.length) byId("galleries").append(el("p", { class: "quiet" }, "Nothing is chosen to be shown: press one of the buttons."));
  byId("images-count").textContent = counts.join(" ");
}

function drawGroup(key, items, note, any, narrowed) {
  const empty = narrowed && any ? "None of them passes the filters." : any ? "None of them is among the images that this page holds." : "None.";
  const list = longList(items, (item) => card(item, key === "tp" ? "right" : "wrong", noteOf(item, key)), { ...listOptions, title: TITLES[key], empty });
  return el("div", { class: "group", id: `gallery-${key}` }, el("h3", {}, TITLES[key], el("span", { class: "quiet" }, note)), list);
}

/** Of a missed label how sure the version was of it; of a box its kind of error. */
function noteOf(item, key) {
  const text = sure(item.sure), label = item.label;
  if (isDetection) {
    const error = rows.errors[item.row], other = key === "fp" && rows.truth[item.row] >= 0 ? rows.truth[item.row] : key === "fn" ? rows.predicted[item.row] : -1;
    return el("span", {}, el("b", {}, name(labels[label])), text && key !== "fn" ? ` ${text}` : "", error && error !== "missed" ? ` · ${error}` : "",
      other >= 0 && other !== label ? [key === "fn" ? " · taken for " : " · in truth ", name(labels[other])] : null);
  }
  if (data.task === "segmentation" || (key !== "fn" && state.by === "rule" && (state.label >= 0 || data.task === "classification"))) return null;
  const kind = state.label < 0 ? { fp: "false alarm: ", fn: "missed: ", tp: "right: " }[key] : "";
  return el("span", {}, kind, el("b", {}, name(labels[label])), text ? ` ${text}` : " is not recorded");
}
