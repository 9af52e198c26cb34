// ---- images -------------------------------------------------------------------------------

const images = {
  n: data.images.names.length, thumbnail: (i) => data.images.thumbnails[i], uri: uriOf, file: fileOf,
};

const listed = (codes) => (codes.length ? codes.flatMap((code, k) => [k ? ", " : "", el("b", {}, name(labels[code]))]) : ["(none)"]);
const answered = (codes, confidence) => [...listed(codes), confidence === null ? "" : ` ${confidence.toFixed(2)}`];

function picture(i) {
  const source = images.thumbnail(i);
  if (!source) return null;
  const img = el("img", { src: source, alt: "", loading: "lazy", onload: () => img.naturalWidth < 48 && img.classList.add("tiny") });
  return el("span", { class: "picture" }, img);
}

/** What changed on the images of this page, by image; the candidate's least sure answers first. */
const changes = new Map(Object.keys(KINDS).map((kind) => [kind, data.changes[kind]
  .map(([image, truth, before, beforeSure, after, afterSure]) => ({ kind, image, truth, before, beforeSure, after, afterSure }))
  .sort((a, b) => (a.afterSure === null) - (b.afterSure === null) || a.afterSure - b.afterSure)]));
const changeOf = new Map([...changes.values()].flat().map((change) => [change.image, change]));

/** A card of an image, with what was answered before and is now where that is known. */
function imageCard(i, look, lines = []) {
  return makeCard({ uri: uriOf(i), file: fileOf(i), look, picture: picture(i), lines, view: () => enlarge(i) });
}

function enlarge(i) {
  const change = changeOf.get(i);
  const within = data.slices ? saySlicesOf(i) : null;
  if (!change) return { picture: picture(i), words: [], facts: [within] };
  const marks = (codes) => codes.map((code) => (change.truth.includes(code) ? ["right", "right"] : ["wrong", "wrong"])).slice(0, 1);
  const row = (version, codes, confidence) => [el("span", {}, `${version}: `, listed(codes)), confidence, marks(codes)];
  return {
    picture: picture(i), words: [el("span", {}, "true ", listed(change.truth))],
    facts: [scoreTable(`${KINDS[change.kind]}: what both versions answer`, [row(baselineName, change.before, change.beforeSure), row(candidateName, change.after, change.afterSure)]), within],
  };
}

function changeCard({ kind, image, truth, before, beforeSure, after, afterSure }) {
  return imageCard(image, kind === "fixed" ? "right" : "wrong", [
    el("span", { class: "what" }, "true ", listed(truth)),
    el("span", { class: "what" }, "before ", answered(before, beforeSure)),
    el("span", { class: "what" }, "now ", answered(after, afterSure))]);
}

function showImages() {
  const kinds = Object.keys(KINDS).filter((kind) => data.totals[kind]);
  if (!kinds.length) return;
  byId("images").hidden = false;
  const shown = Object.keys(data.images.thumbnails).length;
  const filter = cardFilter({
    kinds: kinds.map((kind) => [kind, KINDS[kind]]), order: "surest", images, change: draw, pictures: shown > 0 && shown < images.n,
    about: ({ image, afterSure }) => ({ image, score: afterSure === null ? null : 100 * afterSure }),
  });
  const pick = select("Label", [[-1, "all labels"], ...labels.slice(0, nLabels).map((label, code) => [code, label])], -1, (value) => setLabel(Number(value)));
  const isAbout = ({ image, truth, before, after }) => isInSlice(image) && (state.label < 0 || [truth, before, after].some((codes) => codes.includes(state.label)));
  kinds.forEach((kind) => filter.count(kind, data.totals[kind]));

  function draw() {
    const counts = [], wanted = kinds.filter(filter.shows), narrowed = filter.narrows() || state.label >= 0 || sliced.row !== null;
    byId("gallery").replaceChildren(...wanted.map((kind) => {
      const all = changes.get(kind), total = data.totals[kind], items = filter.arrange(all.filter(isAbout));
      const held = all.length < total ? `${count(all.length)} of ${plural(total, "image")} are on this page; fixed_broken.csv has all` : plural(total, "image");
      const note = narrowed ? `${count(items.length)} found among ${held}` : held;
      counts.push(`${KINDS[kind]}: ${note}.`);
      return el("div", { class: "group", id: `gallery-${kind}` }, el("h3", {}, KINDS[kind], el("span", { class: "quiet" }, note)),
        longList(items, changeCard, { title: KINDS[kind], empty: "None of them passes the filters." }));
    }));
    if (!wanted.length) byId("gallery").append(el("p", { class: "quiet" }, "Nothing is chosen to be shown: press one of the buttons."));
    byId("images-count").textContent = counts.join(" ");
  }

  byId("images-controls").append(pick.node, ...filter.nodes);
  byId("images-note").textContent = sayPictures(data.images);
  onLabel.push((label) => { pick.set(label); draw(); });
  onSlice.push(draw);
  draw();
}
