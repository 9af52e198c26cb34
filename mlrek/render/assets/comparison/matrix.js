// ---- confusion ----------------------------------------------------------------------------

function showConfusion() {
  if (!data.cells.length) return;
  byId("confusion").hidden = false;
  const weight = new Map();
  for (const [i, j, n] of data.cells) for (const code of [i, j]) weight.set(code, (weight.get(code) || 0) + Math.abs(n));
  const order = [...weight.keys()].sort((a, b) => (a >= nLabels) - (b >= nLabels) || a - b);
  const most = [...weight.keys()].filter((code) => code < nLabels).sort((a, b) => weight.get(b) - weight.get(a) || a - b).slice(0, 25);
  const shown = order.filter((code) => code >= nLabels || most.includes(code));
  const value = new Map(data.cells.map(([i, j, n]) => [`${i},${j}`, n]));
  const largest = Math.max(...data.cells.map(([, , n]) => Math.abs(n)));
  const head = el("tr", {}, el("th", { class: "corner" }, "true \\ predicted"), shown.map((j) => el("th", { scope: "col", class: j >= nLabels ? "own" : null }, el("span", { title: labels[j] }, name(short(labels[j], 18))))));
  const body = shown.map((i) => el("tr", {}, el("th", { scope: "row", class: i >= nLabels ? "own" : null, title: labels[i] }, name(short(labels[i], 24))), shown.map((j) => cell(i, j, value.get(`${i},${j}`) || 0, largest))));
  byId("matrix").append(el("table", { class: "matrix" }, el("thead", {}, head), el("tbody", {}, body)));
  const hidden = order.length - shown.length;
  byId("matrix-note").textContent = hidden > 0 ? `${count(hidden)} labels with smaller changes are left out; comparison.json has all.` : "";
}

function cell(i, j, n, largest) {
  if (!n) return el("td", {});
  const better = (i === j) === (n > 0), over = colourOf(better ? "--heat-right" : "--heat-wrong");
  const colour = blend(over, colourOf("--heat-none"), 0.15 + (0.85 * Math.abs(n)) / largest);
  const open = () => showCell(i, j, n);
  return el("td", {
    class: "full", style: `background:rgb(${colour.map(Math.round)});color:${inkOn(colour)}`, tabindex: "0", role: "button",
    "data-cell": `${i},${j}`, "aria-label": `true ${labels[i]}, predicted ${labels[j]}: ${signed(n, 0)}`,
    onclick: open, onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); } },
  }, signed(n, 0));
}

function showCell(i, j, n) {
  const moved = data.moves.filter(([, row, column]) => row === i && column === j);
  const entered = moved.filter((move) => move[3] > 0), left = moved.filter((move) => move[3] < 0);
  const list = (title, moves, look) => (moves.length
    ? [el("h4", {}, `${title} (${count(moves.length)})`), longList(moves, ([image]) => imageCard(image, look), { title })] : []);
  const panel = byId("cell");
  panel.hidden = false;
  panel.replaceChildren(
    el("h3", {}, "true ", name(labels[i]), ", predicted ", name(labels[j]), `: ${signed(n, 0)}`),
    el("p", { class: "quiet" }, data.moves.length < data.moves_total ? `Of ${count(data.moves_total)} images that moved, ${count(data.moves.length)} are on this page: not all of a cell need be here.` : ""),
    ...list(`Only ${candidateName}`, entered, i === j ? "right" : "wrong"),
    ...list(`Only ${baselineName}`, left, i === j ? "wrong" : "right"));
  document.querySelectorAll("[aria-selected]").forEach((node) => node.removeAttribute("aria-selected"));
  document.querySelector(`[data-cell="${i},${j}"]`).setAttribute("aria-selected", "true");
  panel.scrollIntoView({ block: "nearest" });
}
