// ---- likely labelling mistakes, calibration -----------------------------------------------

function startSuspects() {
  if (!rows || !rows.suspects.length) return;
  byId("suspects").hidden = false;
  byId("suspect-cards").append(longList(rows.suspects.map((r) => ({ image: rows.image[r], sure: rows.confidence[r], row: r })),
    (item) => card(item, "wrong", data.task === "multilabel"
      ? el("span", {}, el("b", {}, name(labelText(rows.predicted[item.row]))), ` ${sure(item.sure)} · not in the truth`) : isDetection
      ? el("span", {}, el("b", {}, name(labelText(rows.predicted[item.row]))), ` ${sure(item.sure)} · in truth `, name(labelText(rows.truth[item.row]))) : null),
    listOptions));
}

function startCalibration() {
  const bins = data.calibration;
  if (!bins) return;
  byId("calibration").hidden = false;
  const [ece, low, high] = bins.ece;
  byId("calibration-lead").textContent = `Of predictions that are 80 % sure, 80 % should be right. They miss that by ${three(ece)} on average (ECE${low === null ? "" : `, 95 % interval ${three(low)} to ${three(high)}`}).`;
  const reliability = chart({ title: "Reliability", subtitle: "15 bins of the confidence", x: "mean confidence", y: "share that is right", diagonal: true, lines: [{ name: "version", colour: "var(--blue)" }] });
  const points = bins.confidence.map((c, i) => [c ?? NaN, bins.accuracy[i] ?? NaN]).filter((p) => !p.some(Number.isNaN));
  reliability.draw(0, points);
  const total = bins.count.reduce((a, b) => a + b, 0), largest = Math.max(...bins.count);
  const rowsOfBins = bins.count.map((n, i) => [n, i]).filter(([n]) => n).map(([n, i]) => el("tr", {},
    el("th", { scope: "row" }, `${(i / 15).toFixed(2)}–${((i + 1) / 15).toFixed(2)}`), el("td", {}, count(n), el("span", { class: "bar", "aria-hidden": "true" }, el("i", { style: `width:${(100 * n) / largest}%` }))),
    el("td", {}, three(bins.confidence[i])), el("td", {}, three(bins.accuracy[i]))));
  byId("calibration-chart").append(reliability.node, drawHistogram(bins), el("div", { class: "scroll" }, el("table", { class: "data" },
    el("thead", {}, el("tr", {}, ["confidence", `of ${count(total)} images`, "mean", "right"].map((text) => el("th", { scope: "col" }, text)))), el("tbody", {}, rowsOfBins))));
}

/** How many predictions are right and wrong, bin by bin of the confidence. */
function drawHistogram({ count: all, right }) {
  const width = 420, height = 280, left = 48, bottom = 38, top = 8, edge = 10, most = Math.max(...all);
  const px = (v) => left + v * (width - left - edge), py = (v) => height - bottom - (v / most) * (height - bottom - top);
  const node = svg("svg", { class: "chart histogram", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Confidence of right and wrong predictions; the table next to it has the counts" });
  for (let i = 0; i <= 4; i++) {
    node.append(svg("line", { class: "grid", x1: px(0), x2: px(1), y1: py((most * i) / 4), y2: py((most * i) / 4) }),
      svg("text", { x: px(i / 4), y: height - bottom + 15, "text-anchor": "middle" }, (i / 4).toFixed(2)));
  }
  for (const part of [0, most]) node.append(svg("text", { x: left - 6, y: py(part) + 4, "text-anchor": "end" }, count(part)));
  all.forEach((n, i) => {
    const x = px(i / 15) + 1, w = px(1 / 15) - px(0) - 2, wrong = n - right[i];
    const about = () => svg("title", {}, `${(i / 15).toFixed(2)}–${((i + 1) / 15).toFixed(2)}: ${count(right[i])} right, ${count(wrong)} wrong`);
    if (right[i]) node.append(svg("rect", { class: "right", x, width: w, y: py(right[i]), height: py(0) - py(right[i]) }, about()));
    if (wrong) node.append(svg("rect", { class: "wrong", x, width: w, y: py(n), height: py(right[i]) - py(n) }, about()));
  });
  node.append(svg("text", { x: px(0.5), y: height - 4, "text-anchor": "middle" }, "confidence"));
  const legend = el("div", { class: "legend" }, [["right", "var(--blue)"], ["wrong", "var(--orange)"]].map(([text, colour]) => el("span", {}, el("i", { style: `background:${colour}` }), text)));
  return el("figure", {}, el("figcaption", {}, el("b", {}, "How sure it is"), " predictions by confidence"), node, legend);
}
