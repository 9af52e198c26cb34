// ---- the list of labels at the side, each with its images and score ---------------------------

const SIDE_SCORES = [["f1", "F1"], ["iou", "IoU"], ["ap", "AP"], ["reported_f1", `${data.who} F1`]];
const COUNTED = data.counted === "images" ? "images" : data.counted;

function startLabelList() {
  if (!labels.length) return;
  const [key, title] = SIDE_SCORES.find(([found]) => data.columns[found]) || [null, ""], none = labels.map(() => null);
  const scores = key ? data.columns[key] : none, support = data.columns.support || none;
  const byScore = [["low", `${title}, lowest first`, byColumn(scores, 1)], ["high", `${title}, highest first`, byColumn(scores, -1)]];
  fillLabelList({
    names: labels, heads: ["label", COUNTED, title], room: 19,
    orders: [...(key ? byScore : []), ["support", `Most ${COUNTED}`, byColumn(support, -1)]],
    numbers: (code) => [
      el("span", { class: "quiet" }, support[code] === null ? "" : count(support[code])),
      el("span", { class: "side-score" }, three(scores[code])),
      el("i", { class: "side-bar", style: `--share:${100 * Math.min(Math.max(scores[code] ?? 0, 0), 1)}%` })],
  });
}
