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
