const data = JSON.parse(byId("data").textContent);
const PALETTE = ["#0072B2", "#D55E00", "#009E73", "#56B4E9", "#E69F00", "#CC79A7", "#661100"];
const DASHES = ["", "8 4", "2 3", "10 3 2 3", "5 2", "14 4", "1 2"];
const MOST_PICKED = 12;

/** All labels of all versions, in the order of the oldest that has them. */
const labels = [];
const codes = new Map();
for (const names of data.label_lists) for (const text of names) if (!codes.has(text)) { codes.set(text, labels.length); labels.push(text); }

const versions = data.versions.map((version, i) => {
  const held = version.held, names = data.label_lists[held.labels];
  const place = new Map(names.map((text, k) => [codes.get(text), k]));
  return {
    ...version, ...held, i, place, ofLabel: names.map((text) => codes.get(text)),
    dash: DASHES[(i + Math.floor(i / PALETTE.length)) % DASHES.length],
    ink: `var(--version-${i})`, rgb: version.colour || PALETTE[i % PALETTE.length],
  };
});

const toRgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
const toHex = (rgb) => `rgb(${rgb.map(Math.round)})`;

/** Each version's colour as a variable; on dark paper a lighter one. */
function defineColours() {
  const define = (make) => versions.map((v) => `--version-${v.i}: ${toHex(make(toRgb(v.rgb)))};`).join("");
  document.head.append(el("style", {}, `:root{${define((c) => c)}} @media (prefers-color-scheme: dark) {:root{${define((c) => blend(c, [255, 255, 255], 0.6))}}}`));
}

const swatch = (version) => svg("svg", { class: "dash-key", viewBox: "0 0 26 8", "aria-hidden": "true" },
  svg("line", { x1: 0, x2: 26, y1: 4, y2: 4, stroke: version.ink, "stroke-dasharray": version.dash || null }));

/** The version before on the same test set, null where there is none. */
function before(version) {
  if (!version.set) return null;
  for (let i = version.i - 1; i >= 0; i--) if (versions[i].set === version.set) return versions[i];
  return null;
}

const numberOf = (version, key) => version.numbers[key] || null;
const valueOf = (version, key) => (numberOf(version, key) || [null])[0];

/** Lowest and highest of values, with some room; null where there is none. */
function reach(values) {
  const known = values.filter((v) => v !== null && v !== undefined);
  if (!known.length) return null;
  const low = Math.min(...known), high = Math.max(...known), room = Math.max((high - low) * 0.06, Math.abs(high) * 0.002, 1e-6);
  const isShare = low >= 0 && high <= 1;
  return isShare ? [Math.max(0, low - room), Math.min(1, high + room)] : [low - room, high + room];
}

/** A dash with the reason why there is no number. */
const undefinedCell = (reason) => el("td", { title: reason, class: "quiet" }, "—", el("span", { class: "hidden" }, ` ${reason}`));

/** A button under a version's name that shows where its report is. */
const versionButton = (version) => el("button", { type: "button", title: `${version.name}: its run and report`, onclick: () => openPanel(version) }, name(short(version.name, 22)));

function versionHead(version, inner) {
  const sub = [version.trained, version.set ? `set ${version.set}` : "", version.images ? `${count(Number(version.images))} images` : ""].filter(Boolean);
  return el("th", { scope: "col" }, inner, sub.map((text) => el("span", { class: "quiet" }, text)));
}

function openPanel(version) {
  const panel = byId("panel");
  const report = version.report
    ? [el("p", {}, el("a", { href: version.report, target: "_blank", rel: "noopener" }, "Open its report"), ", or copy the address:"), el("code", { class: "address" }, version.report)] : [];
  panel.hidden = false;
  panel.replaceChildren(
    el("h3", { tabindex: -1 }, name(version.name)),
    el("p", {}, [version.trained && `trained ${version.trained}`, version.set && `test set ${version.set}`, version.images && `${count(Number(version.images))} images`, version.task].filter(Boolean).join(", ")),
    ...report,
    el("p", {}, "Run ", el("code", { class: "address" }, version.run), ", whose report.html has its images, thresholds and curves."),
    el("button", { type: "button", onclick: () => { panel.hidden = true; } }, "Close"));
  panel.scrollIntoView({ block: "nearest" });
  panel.querySelector("h3").focus({ preventScroll: true });
}

const scrollToNewest = (box) => { box.scrollLeft = box.scrollWidth; };
const redrawWhenWidthChanges = (node, draw) => {
  let width = node.clientWidth;
  new ResizeObserver(() => { if (node.clientWidth !== width) { width = node.clientWidth; draw(); } }).observe(node);
};

/** The places of the versions that heat maps and curves show. */
const picked = new Set();
const onPick = [];
const pickedVersions = () => versions.filter((v) => picked.has(v.i)).slice(-MOST_PICKED);
