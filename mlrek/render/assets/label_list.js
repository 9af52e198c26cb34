// ---- the list of labels at the side: choosing one shows it everywhere -------------------------

const MOST_LISTED = 400;
const AT_THE_SIDE = matchMedia("(min-width: 1200px)"); // else it is folded above the page's parts
const side = { order: "label", search: "", focus: 0, options: [] };

/** What is drawn anew when another label is chosen; -1 is all labels together. */
const onLabel = [];

function setLabel(label) {
  state.label = label;
  onLabel.forEach((draw) => draw(label));
}

/** A sort of codes by a column, lowest (1) or highest (-1) first; what has no value comes last. */
const byColumn = (column, sign) => (codes) => codes.sort((a, b) => (column[a] === null) - (column[b] === null) || sign * (column[a] - column[b]) || a - b);

/**
 * Fill the list: `orders` are [key, text, sort of codes] besides those by code and name, `heads` stand above the columns,
 * `numbers(code)` makes the nodes after a name, `kind(code)` is a class, `room` the characters of a name at the side.
 */
function fillLabelList({ names, orders, heads, numbers, kind = () => null, room }) {
  let fromAToZ = null;
  const byName = (codes) => { const isFound = new Set(codes); return (fromAToZ ||= alphabetical(names)).filter((code) => isFound.has(code)); };
  const all = [["label", "Order of the model", (codes) => codes], ["name", "A–Z", byName], ...orders];
  Object.assign(side, { names, numbers, kind, room, sorts: Object.fromEntries(all.map(([key, , sort]) => [key, sort])) });
  side.list = el("div", { role: "listbox", class: "side-list", "aria-label": "Labels: what is chosen is shown on the whole page", onkeydown: pressInList, onclick: (event) => { const option = event.target.closest("[role=option]"); if (option) chooseInList(side.options.indexOf(option)); } });
  side.note = el("p", { class: "quiet", id: "side-note", role: "status" });
  byId("side-box").append(
    el("div", { class: "controls" },
      names.length > 10 ? search("Search labels", (text) => { side.search = text; listLabels(); }) : null,
      names.length > 2 ? select("Sort by", all, "label", (order) => { side.order = order; listLabels(); }).node : null),
    el("p", { class: "side-head quiet", "aria-hidden": "true" }, heads.map((head) => el("span", {}, head))),
    side.list, side.note);
  byId("side").hidden = false;
  const fold = () => { byId("side-details").open = AT_THE_SIDE.matches; listLabels(); };
  AT_THE_SIDE.addEventListener("change", fold);
  onLabel.push(markInList);
  fold();
}

function listLabels() {
  const text = side.search.toLowerCase();
  const found = side.sorts[side.order](side.names.map((_, i) => i).filter((i) => side.names[i].toLowerCase().includes(text)));
  side.options = [-1, ...found.slice(0, MOST_LISTED)].map(makeOption);
  side.list.replaceChildren(...side.options);
  side.note.textContent = !found.length ? `No label's name contains “${side.search}”.`
    : found.length > MOST_LISTED ? `${MOST_LISTED} of ${count(found.length)} labels are listed: search for the others.` : side.search ? plural(found.length, "label") : "";
  markInList(state.label);
}

function makeOption(code) {
  const isAll = code < 0, text = isAll ? "All labels" : name(short(side.names[code], AT_THE_SIDE.matches ? side.room : 60));
  return el("div", { role: "option", tabindex: -1, "data-code": code, title: isAll ? null : side.names[code], class: isAll ? null : side.kind(code) },
    el("span", { class: "side-name" }, text), isAll ? null : side.numbers(code));
}

function markInList(label) {
  side.options.forEach((option) => {
    const isChosen = Number(option.dataset.code) === label;
    option.setAttribute("aria-selected", String(isChosen));
  });
  focusInList(Math.max(side.options.findIndex((option) => Number(option.dataset.code) === label), 0), false);
  byId("side-chosen").replaceChildren(label < 0 ? "all" : name(side.names[label]));
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
