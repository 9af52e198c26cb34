// ---- which versions are drawn, and the start ----------------------------------------------

function startPicking() {
  const able = versions.filter((v) => v.cells || v.curve);
  if (!able.length) return;
  able.slice(-4).forEach((v) => picked.add(v.i));
  if (able.length < 2) return;
  byId("pick").hidden = false;
  const boxes = able.map((v) => {
    const box = el("input", { type: "checkbox", value: v.i, checked: picked.has(v.i), onchange: () => { if (box.checked) picked.add(v.i); else picked.delete(v.i); changed(); } });
    return box;
  });
  const sync = () => boxes.forEach((box) => { box.checked = picked.has(Number(box.value)); });
  const changed = () => { sync(); sayPicked(able); onPick.forEach((draw) => draw()); };
  const take = (some) => { picked.clear(); some.forEach((v) => picked.add(v.i)); changed(); };
  const quick = [["Newest two", able.slice(-2)], ["Newest four", able.slice(-4)], [able.length > MOST_PICKED ? `Newest ${MOST_PICKED}` : "All", able.slice(-MOST_PICKED)]];
  const buttons = quick.filter(([, some], k) => !k || some.length > quick[k - 1][1].length).map(([text, some]) => el("button", { type: "button", onclick: () => take(some) }, text));
  byId("pick-controls").append(
    el("fieldset", { style: "display:block;min-width:0;flex:1 1 400px" }, el("legend", {}, "Versions drawn in the heat maps and curves"),
      el("div", { class: "picks" }, able.map((v, k) => el("label", { title: v.name }, boxes[k], swatch(v), name(short(v.name, 26)), v.set && data.versions.some((o) => o.set !== v.set) ? ` · ${v.set}` : "")))),
    ...buttons);
  sayPicked(able);
  const list = byId("pick-controls").querySelector(".picks");
  list.scrollTop = list.scrollHeight;
}

function sayPicked(able) {
  const n = picked.size;
  byId("pick-note").textContent = n > MOST_PICKED ? `${count(n)} are chosen; the newest ${MOST_PICKED} of them are drawn.` : `${count(n)} of ${count(able.length)} are drawn.`;
}

function listRuns() {
  const body = versions.map((v) => el("tr", {}, el("th", { scope: "row" }, name(v.name)), el("td", {}, v.trained || "—"), el("td", {}, v.set || "—"), el("td", {}, el("code", { class: "address" }, v.run)),
    el("td", {}, v.report ? el("a", { href: v.report, target: "_blank", rel: "noopener", "aria-label": `Report of ${v.name}` }, "report") : "—")));
  byId("runs").append(el("table", { class: "plain" }, el("thead", {}, el("tr", {}, ["version", "trained", "test set", "run", "report.html"].map((text) => el("th", { scope: "col" }, text)))), el("tbody", {}, body)));
}

defineColours();
startPicking();
startNumbers();
startMatrix();
startCurves();
startLabels();
listRuns();
listSections(byId("contents"));
document.documentElement.dataset.ready = "true";
