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
  byId("calibration-chart").append(reliability.node, el("div", { class: "scroll" }, el("table", { class: "data" },
    el("thead", {}, el("tr", {}, ["confidence", `of ${count(total)} images`, "mean", "right"].map((text) => el("th", { scope: "col" }, text)))), el("tbody", {}, rowsOfBins))));
}
