// ---- curves of several versions -----------------------------------------------------------

const curveCharts = [];
const at = { step: 50 };

function pointsOf(version) {
  if (version.points) return version.points;
  const { tp, fp, support } = version.curve, found = decodeFalling(tp), wrong = decodeFalling(fp);
  version.points = found.map((t, i) => ({ precision: divide(t, t + wrong[i]), recall: divide(t, support), f1: divide(2 * t, t + wrong[i] + support), tp: t, fp: wrong[i] }));
  return version.points;
}

function startCurves() {
  if (!versions.some((v) => v.curve)) return;
  byId("curves").hidden = false;
  byId("step").addEventListener("input", () => { at.step = Number(byId("step").value); moveStep(); });
  drawCurves();
  onPick.push(drawCurves);
}

const curved = () => pickedVersions().filter((v) => v.curve);

function drawCurves() {
  const shown = curved(), names = shown.map((v) => ({ name: v.name, colour: v.ink, dash: v.dash }));
  const over = [["precision", "Precision"], ["recall", "Recall"], ["f1", "F1"]].map(([key, title]) => {
    const made = chart({ title, x: "confidence threshold", y: title, lines: names });
    shown.forEach((v, k) => made.draw(k, pointsOf(v).map((p, i) => [i / 100, p[key]])));
    return { made, dots: () => shown.map((v) => [at.step / 100, pointsOf(v)[at.step][key]]), cursor: true };
  });
  const ranked = chart({ title: "Precision and recall", x: "recall", y: "precision", lines: names });
  shown.forEach((v, k) => ranked.draw(k, pointsOf(v).map((p) => [p.recall, p.precision])));
  curveCharts.splice(0, curveCharts.length, ...over, { made: ranked, dots: () => shown.map((v) => [pointsOf(v)[at.step].recall, pointsOf(v)[at.step].precision]) });
  curveCharts.forEach(({ made }) => made.node.querySelectorAll(".legend").forEach((node) => node.remove()));
  byId("charts").replaceChildren(...curveCharts.map(({ made }) => made.node));
  byId("legend").replaceChildren(...shown.map((v, k) => el("button", { type: "button", title: "Show this curve alone while the pointer or the focus is here", ...stress(k) }, swatch(v), name(short(v.name, 24)))));
  const stops = new Map();
  shown.forEach((v) => { if (v.curve.stops_at) stops.set(v.curve.stops_at, [...(stops.get(v.curve.stops_at) || []), v.name]); });
  byId("curves-note").replaceChildren(...[...stops].map(([why, names_]) => el("p", { class: "quiet" }, ...names_.flatMap((text, k) => [k ? ", " : "", name(text)]), `: ${why}.`)));
  moveStep();
}

/** While a version's name is pointed at, the curves of the others fade. */
function stress(k) {
  const fade = (on) => byId("charts").querySelectorAll(".chart").forEach((node) => node.querySelectorAll(".line").forEach((line, i) => line.classList.toggle("faded", on && i !== k)));
  return { onmouseenter: () => fade(true), onmouseleave: () => fade(false), onfocus: () => fade(true), onblur: () => fade(false) };
}

function moveStep() {
  const shown = curved();
  byId("step-value").textContent = `${at.step} %`;
  byId("step").setAttribute("aria-valuetext", `${at.step} percent`);
  curveCharts.forEach(({ made, dots, cursor }) => made.move(dots(), cursor ? at.step / 100 : undefined));
  const score = (value) => (Number.isNaN(value) ? undefinedCell("nothing is predicted at this threshold") : el("td", { class: "n" }, three(value)));
  const body = shown.map((v) => {
    const p = pointsOf(v)[at.step];
    return el("tr", {}, el("th", { scope: "row" }, swatch(v), name(v.name)), score(p.precision), score(p.recall), score(p.f1), el("td", { class: "n" }, count(p.tp)), el("td", { class: "n" }, count(p.fp)), el("td", { class: "n" }, count(v.curve.support - p.tp)));
  });
  const head = ["version", "precision", "recall", "F1", "right (TP)", "false alarms (FP)", "missed (FN)"];
  byId("step-table").replaceChildren(el("table", { class: "plain" }, el("thead", {}, el("tr", {}, head.map((text, k) => el("th", { scope: "col", class: k ? "n" : null }, text)))), el("tbody", {}, body)));
}
