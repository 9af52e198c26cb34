// ---- the list of labels at the side: choosing one shows it everywhere -------------------------

const SIDE_SCORES = [["f1", "F1"], ["iou", "IoU"], ["ap", "AP"], ["reported_f1", `${data.who} F1`]];
const MOST_LISTED = 400;
const AT_THE_SIDE = matchMedia("(min-width: 1200px)"); // else it is folded above the page's parts
const side = { order: "label", search: "", focus: 0, options: [] };

function startLabelList() {
  if (!labels.length) return;
  const [key, title] = SIDE_SCORES.find(([found]) => data.columns[found]) || [null, ""];
  side.score = key ? data.columns[key] : labels.map(() => null);
  side.support = data.columns.support || labels.map(() => null);
  const orders = [["label", "Order of the model"], ["name", "A–Z"], ...(key ? [["low", `${title}, lowest first`], ["high", `${title}, highest first`]] : []), ["support", `Most ${COUNTED}`]];
  side.list = el("div", { role: "listbox", class: "side-list", "aria-label": "Labels: what is chosen is shown on the whole page", onkeydown: pressInList, onclick: (event) => { const option = event.target.closest("[role=option]"); if (option) chooseInList(side.options.indexOf(option)); } });
  const note = el("p", { class: "quiet", id: "side-note", role: "status" });
  side.note = note;
  const box = byId("side-box");
  box.append(
    el("div", { class: "controls" },
      labels.length > 10 ? search("Search labels", (text) => { side.search = text; listLabels(); }) : null,
      labels.length > 2 ? select("Sort by", orders, "label", (order) => { side.order = order; listLabels(); }).node : null),
    el("p", { class: "side-head quiet", "aria-hidden": "true" }, el("span", {}, "label"), el("span", {}, COUNTED), el("span", {}, title)),
    side.list, note);
  byId("side").hidden = false;
  const fold = () => { byId("side-details").open = AT_THE_SIDE.matches; listLabels(); };
  AT_THE_SIDE.addEventListener("change", fold);
  onLabel.push(markInList);
  fold();
}

const COUNTED = data.counted === "images" ? "images" : data.counted;

function sortSide(codes) {
  const by = (column, sign) => (a, b) => (column[a] === null) - (column[b] === null) || sign * (column[a] - column[b]) || a - b;
  if (side.order === "name") { const isFound = new Set(codes); return byName.filter((code) => isFound.has(code)); }
  if (side.order === "low") return codes.sort(by(side.score, 1));
  if (side.order === "high") return codes.sort(by(side.score, -1));
  return side.order === "support" ? codes.sort(by(side.support, -1)) : codes;
}

function listLabels() {
  const text = side.search.toLowerCase();
  const found = sortSide(labels.map((_, i) => i).filter((i) => labels[i].toLowerCase().includes(text)));
  side.options = [-1, ...found.slice(0, MOST_LISTED)].map(makeOption);
  side.list.replaceChildren(...side.options);
  side.note.textContent = !found.length ? `No label's name contains “${side.search}”.`
    : found.length > MOST_LISTED ? `${MOST_LISTED} of ${count(found.length)} labels are listed: search for the others.` : side.search ? plural(found.length, "label") : "";
  markInList(state.label);
}

function makeOption(code) {
  const score = code < 0 ? null : side.score[code], support = code < 0 ? null : side.support[code];
  return el("div", { role: "option", tabindex: -1, "data-code": code, title: code < 0 ? null : labels[code] },
    el("span", { class: "side-name" }, code < 0 ? "All labels" : name(short(labels[code], AT_THE_SIDE.matches ? 19 : 60))),
    el("span", { class: "quiet" }, support === null ? "" : count(support)),
    el("span", { class: "side-score" }, code < 0 ? "" : three(score)),
    code < 0 ? null : el("i", { class: "side-bar", style: `--share:${100 * Math.min(Math.max(score ?? 0, 0), 1)}%` }));
}

function markInList(label) {
  side.options.forEach((option) => {
    const isChosen = Number(option.dataset.code) === label;
    option.setAttribute("aria-selected", String(isChosen));
  });
  focusInList(Math.max(side.options.findIndex((option) => Number(option.dataset.code) === label), 0), false);
  byId("side-chosen").replaceChildren(label < 0 ? "all" : name(labels[label]));
}

function focusInList(place, isWanted) {
  side.options.forEach((option, i) => { option.tabIndex = i === place ? 0 : -1; });
  side.focus = place;
  if (isWanted) { side.options[place].focus({ preventScroll: true }); side.options[place].scrollIntoView({ block: "nearest" }); }
}

function chooseInList(place) {
  setLabel(Number(side.options[place].dataset.code));
  focusInList(place, true);
}

function pressInList(event) {
  const last = side.options.length - 1;
  const to = { ArrowUp: side.focus - 1, ArrowDown: side.focus + 1, PageUp: side.focus - 10, PageDown: side.focus + 10, Home: 0, End: last }[event.key];
  if (to === undefined && !isPress(event)) return;
  event.preventDefault();
  if (to === undefined) chooseInList(side.focus); else focusInList(Math.min(Math.max(to, 0), last), true);
}
