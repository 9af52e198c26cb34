// ---- cards of images, the large view that one opens, and what a list of them is narrowed by ----

/** The slice of images that is looked at: its row, null for all images, and which of the page's images are in it. */
const sliced = { row: null, has: null };
const onSlice = [];
const isInSlice = (image) => !sliced.has || sliced.has[image] === 1;

/**
 * A card: a button that opens the image large.
 *
 * `lines` are what stands below the picture, `view` gives what the large view shows of the image:
 * its picture, words, nodes of facts. Nothing of that is made before it is asked for.
 */
function makeCard({ uri, file, look, picture, lines, view }) {
  const card = el("li", { class: `card ${look || ""}`, "data-image": uri },
    el("button", { type: "button", class: "open", title: uri, "aria-haspopup": "dialog", onclick: () => largeView.open(card) },
      picture, lines.filter(Boolean), el("span", { class: "name" }, name(file))));
  card.view = () => ({ uri, file, look, ...view() });
  return card;
}

/** A list that shows its first items, and more at a press. */
function longList(items, make, { first = 12, step = 48, large = false, title = null, empty = "None." } = {}) {
  if (!items.length) return el("p", { class: "quiet" }, empty);
  const list = el("ul", { class: large ? "cards large" : "cards", "aria-label": title });
  const more = el("button", { type: "button", class: "more", onclick: () => show(step) });
  let shown = 0;
  const show = (n) => {
    const end = Math.min(shown + n, items.length);
    for (; shown < end; shown++) list.append(make(items[shown]));
    more.hidden = shown === items.length;
    const left = items.length - shown;
    more.textContent = left > step ? `Show ${step} more (${count(left)} are left)` : `Show ${left} more`;
  };
  list.total = items.length;
  list.reach = (place) => {
    if (place >= shown) show(Math.max(step, place + 1 - shown));
    return list.children[place];
  };
  show(first);
  return el("div", {}, list, more);
}

/** Select a field's text and copy it; a frame of MLflow may not be allowed to. */
function copyFrom(field, note) {
  field.focus();
  field.select();
  let done = false;
  try { done = document.execCommand("copy"); } catch { done = false; }
  note.textContent = done ? "Copied." : "Selected: press Ctrl+C.";
}

/** One image as large as the page holds it; the arrow keys go through the list that it stands in. */
const largeView = (() => {
  let dialog = null, card = null;
  const parts = {};

  function build() {
    const button = (text, label, act) => el("button", { type: "button", "aria-label": label, onclick: act }, text);
    parts.title = el("h2", { id: "large-title", tabindex: -1 });
    parts.place = el("span", { class: "quiet", role: "status" });
    parts.back = button("←", "Previous image", () => go(-1));
    parts.on = button("→", "Next image", () => go(1));
    parts.body = el("div", { class: "large-body" });
    dialog = el("dialog", { class: "large-view", "aria-labelledby": "large-title", onkeydown: press, onclose: leave, onclick: (event) => event.target === dialog && shut() },
      el("div", { class: "large-inside" },
        el("div", { class: "large-top" }, parts.title, parts.place, parts.back, parts.on, button("Close", "Close", shut)), parts.body));
    document.body.append(dialog);
  }

  function press(event) {
    if (event.key === "Escape") {
      event.preventDefault();
      shut();
      return;
    }
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.target.tagName === "INPUT" || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    go(step);
  }

  const placeOf = () => [...card.parentNode.children].indexOf(card);

  function go(step) {
    const list = card.parentNode, place = placeOf() + step;
    if (place < 0 || place >= list.total) return;
    card = list.reach(place);
    draw();
  }

  function draw() {
    const { file, look, picture, words, facts, uri } = card.view(), place = placeOf(), total = card.parentNode.total;
    parts.title.replaceChildren(name(file));
    parts.place.textContent = `${count(place + 1)} of ${count(total)}`;
    parts.back.setAttribute("aria-disabled", String(place === 0));
    parts.on.setAttribute("aria-disabled", String(place === total - 1));
    parts.body.replaceChildren(
      el("div", { class: "large-picture" }, picture || el("p", { class: "quiet" }, "This page holds no picture of this image.")),
      el("div", { class: "large-facts" }, words.filter(Boolean).map((line) => el("p", { class: look }, line)), facts.filter(Boolean), showAddress(uri)));
  }

  function open(pressed) {
    if (!dialog) build();
    card = pressed;
    draw();
    dialog.showModal();
    parts.title.focus();
  }

  const leave = () => card.querySelector("button").focus();

  function shut() {
    dialog.close(); // gives the focus to the card that was pressed; another may have been reached since
    leave();
  }

  return { open };
})();

/** The address of an image, to select and to copy. */
function showAddress(uri) {
  const field = el("input", { type: "text", class: "address", readonly: true, value: uri, spellcheck: "false", "aria-label": "URI of the image", onfocus: () => field.select() });
  const note = el("span", { class: "quiet", role: "status" });
  return el("div", { class: "copy" }, el("div", { class: "quiet" }, "URI"),
    el("div", { class: "row" }, field, el("button", { type: "button", onclick: () => copyFrom(field, note) }, "Copy")), note);
}

/** Boxes to tick that hide parts of a picture: `parts` are [class that it hides, text, count]. */
function toggles(picture, parts) {
  return el("fieldset", { class: "ticks" }, el("legend", { class: "hidden" }, "Shown on the picture"), parts.map(([key, text]) => {
    const box = el("input", { type: "checkbox", checked: true, onchange: () => picture.classList.toggle(`hide-${key}`, !box.checked) });
    return el("label", {}, box, el("i", { class: `swatch ${key}`, "aria-hidden": "true" }), text);
  }));
}

/** A table of labels with their scores as bars: [name, score from 0 to 1 or null, marks]. */
function scoreTable(caption, scored) {
  return el("table", { class: "scores" }, el("caption", { class: "quiet" }, caption),
    el("thead", { class: "hidden" }, el("tr", {}, ["label", "confidence", ""].map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, scored.map(([label, score, marks]) => el("tr", {},
      el("th", { scope: "row" }, label),
      el("td", {}, score === null ? el("span", { class: "quiet" }, "not recorded") : [el("span", { class: "bar", "aria-hidden": "true" }, el("i", { style: `width:${100 * score}%` })), score.toFixed(4)]),
      el("td", {}, marks.map(([look, text]) => el("span", { class: `mark ${look}` }, text)))))));
}

const ORDERS = [["least", "least sure first"], ["surest", "surest first"], ["name", "by name"]];

/**
 * What a list of cards is narrowed and ordered by; `change` is called at each change.
 *
 * `about` tells of an item its place among the images, its `file` and `uri`, how sure the version is
 * from 0 to 100 (null: not recorded) and whether there is a picture.
 */
function cardFilter({ kinds, order, images, about, pictures, change }) {
  const chosen = { kinds: new Set(kinds.map(([key]) => key)), text: "", from: 0, to: 100, order, pictured: false };
  const set = (key, value) => { chosen[key] = value; change(); };
  const buttons = new Map(kinds.map(([key, title]) => [key, el("button", { type: "button", "data-value": key, "aria-pressed": "true", onclick: () => toggle(key) }, title)]));
  const press = (wanted) => {
    chosen.kinds = new Set(wanted);
    buttons.forEach((button, key) => button.setAttribute("aria-pressed", String(chosen.kinds.has(key))));
  };
  function toggle(key) {
    chosen.touched = true;
    press(kinds.map(([k]) => k).filter((k) => (k === key) !== chosen.kinds.has(k)));
    change();
  }
  const percentField = (label, key, value) => {
    const read = () => (field.value === "" || Number.isNaN(Number(field.value)) ? value : Number(field.value));
    const field = el("input", { type: "number", min: 0, max: 100, step: "any", value, "aria-label": label, oninput: () => set(key, read()) });
    return field;
  };
  const tick = el("input", { type: "checkbox", onchange: () => set("pictured", tick.checked) });
  const nodes = [
    el("fieldset", { class: "choice several" }, el("legend", {}, "Show"), [...buttons.values()]),
    search("File name contains", (text) => set("text", text.trim().toLowerCase())),
    el("fieldset", { class: "range" }, el("legend", {}, "Confidence in percent"), percentField("Confidence from", "from", 0), "–", percentField("Confidence to", "to", 100)),
    select("Order", ORDERS, order, (value) => set("order", value)).node,
    pictures ? el("label", { class: "tick" }, tick, "only with a picture") : null,
  ];
  let ranks = null;
  const rankByName = () => {
    const collator = new Intl.Collator("en", { numeric: true });
    const files = Array.from({ length: images.n }, (_, i) => images.file(i));
    const order = files.map((_, i) => i).sort((a, b) => collator.compare(files[a], files[b]));
    ranks = [];
    order.forEach((i, rank) => { ranks[i] = rank; });
  };
  const isOpen = () => chosen.from <= 0 && chosen.to >= 100;
  const isNamed = (i) => images.file(i).toLowerCase().includes(chosen.text) || (chosen.text.includes("/") && images.uri(i).toLowerCase().includes(chosen.text));
  const shown = (score) => Math.round(100 * score) / 100; // as cards have it, with four decimals
  const isSure = (score) => isOpen() || (score !== null && shown(score) >= chosen.from && shown(score) <= chosen.to);
  return {
    nodes: nodes.filter(Boolean), press, toggled: () => chosen.touched === true, shows: (key) => chosen.kinds.has(key),
    narrows: () => chosen.text !== "" || !isOpen() || chosen.pictured,
    count: (key, n) => buttons.get(key).replaceChildren(kinds.find(([k]) => k === key)[1], ` (${count(n)})`),
    /** Those of the items that are wanted, in the order that is wanted; `items` have the least sure first. */
    arrange(items) {
      const kept = items.filter((item) => {
        const { image, score } = about(item);
        return (!chosen.pictured || images.thumbnail(image)) && isSure(score) && (!chosen.text || isNamed(image));
      });
      if (chosen.order === "surest") {
        const known = kept.filter((item) => about(item).score !== null).reverse();
        return [...known, ...kept.filter((item) => about(item).score === null)];
      }
      if (chosen.order === "name") {
        if (!ranks) rankByName();
        kept.sort((a, b) => ranks[about(a).image] - ranks[about(b).image]);
      }
      return kept;
    },
  };
}

/** Why there are no pictures, or not of all; "" where all that were wanted are there. */
function sayPictures({ prefix, names, thumbnails, asked, refused }) {
  const shown = Object.keys(thumbnails).length, take = "--images FOLDER takes them from a folder with a copy.";
  const isGoogle = (prefix + (names[0] ?? "")).startsWith("gs://");
  if (!shown && isGoogle) return `Pictures in Google Cloud Storage (gs://) are not read: ${take}`;
  if (!shown && !asked) return `No pictures: they were not asked for, or where they are is not known. ${take}`;
  if (!shown && refused) return `No picture could be read: ${refused}. ${take}`;
  if (!shown) return `No picture could be read (${count(asked)} were wanted): they are not where the test set says. ${take}`;
  if (shown < asked) return `${count(shown)} of ${count(asked)} pictures could be read; ${refused || "the others are not there"}.`;
  return shown < names.length ? `Pictures are shown of ${count(shown)} of these images.` : "";
}
