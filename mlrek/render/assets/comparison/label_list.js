// ---- the list of labels at the side, each with both values and the change ---------------------

function showLabelList() {
  const { rows, number } = data.label_numbers;
  if (!nLabels || !(rows.length || data.cells.length)) return;
  const row = labels.slice(0, nLabels).map(() => null);
  for (const found of rows) row[found.label] = found;
  const sizes = row.map((found) => found && Math.abs(found.difference)), reach = Math.max(0.01, ...sizes);
  fillLabelList({
    names: labels.slice(0, nLabels), heads: [`label, ${number} before → now`, "change"], room: 23,
    orders: rows.length ? [["change", "Largest change", byColumn(sizes, -1)]] : [],
    kind: (code) => row[code] && row[code].kind,
    numbers: (code) => (row[code] ? changeInList(row[code], reach) : el("span", {}, "—")),
  });
  side.list.classList.add("changes");
}

function changeInList({ baseline, candidate, difference, kind, judgement }, reach) {
  const ends = [0, (50 * difference) / reach].sort((a, b) => a - b).map((end) => `${50 + end}%`);
  return [
    el("span", { class: "moved" }, signed(difference)),
    el("span", { class: "quiet" }, `${three(baseline)} → ${three(candidate)}`),
    el("span", { class: "judged" }, kind === "better" || kind === "worse" ? judgement : ""),
    el("i", { class: "side-bar", style: `--from:${ends[0]};--to:${ends[1]}` })];
}
