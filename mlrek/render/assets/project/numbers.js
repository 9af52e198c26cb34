// ---- numbers ------------------------------------------------------------------------------

const trend = { key: data.headlines[0] || "" };

function startNumbers() {
  const keys = [...new Set([...data.headlines, ...versions.flatMap((v) => Object.keys(v.numbers))])];
  if (data.headlines.length > 1) {
    byId("trend-controls").append(select("Drawn", data.headlines.map((key) => [key, data.names[key]]), trend.key, (key) => { trend.key = key; drawTrend(); }).node);
  }
  byId("numbers-note").textContent = versions.some(before)
    ? "Whiskers of a row share one scale, whose ends are under its name. Under a number: its 95 % interval, and the change since the version before on the same test set." : "Under a number: its 95 % interval.";
  const rest = keys.filter((key) => !data.headlines.includes(key));
  const all = byId("numbers-all");
  const state = { all: !data.headlines.length };
  const draw = () => {
    drawNumbers(state.all ? [...data.headlines, ...rest] : data.headlines);
    all.textContent = state.all ? "Show only the headline numbers" : `Show all ${data.headlines.length + rest.length} numbers`;
    all.setAttribute("aria-expanded", String(state.all));
  };
  all.hidden = !rest.length || !data.headlines.length;
  all.addEventListener("click", () => { state.all = !state.all; draw(); });
  draw();
  scrollToNewest(byId("numbers-table"));
  drawTrend();
  redrawWhenWidthChanges(byId("trend"), drawTrend);
}

function drawNumbers(keys) {
  const head = el("tr", {}, el("th", { scope: "col" }, "number"), versions.map((v) => versionHead(v, versionButton(v))));
  const body = keys.map((key) => {
    const ends = reach(versions.flatMap((v) => (numberOf(v, key) || []).slice(0, 3)));
    return el("tr", { "data-key": key },
      el("th", { scope: "row", title: data.names[key] }, data.names[key], ends ? el("span", { class: "quiet" }, `${three(ends[0])} to ${three(ends[1])}`) : null),
      versions.map((v) => numberCell(v, key, ends)));
  });
  byId("numbers-table").replaceChildren(el("table", { class: "wide-table", style: `width:min(100%, ${220 * (versions.length + 1)}px)` }, el("thead", {}, head), el("tbody", {}, body)));
}

function numberCell(version, key, ends) {
  const found = numberOf(version, key);
  if (!found) return undefinedCell("not a number of this version");
  const [value, low, high, reason] = found;
  if (value === null) return undefinedCell(reason || "undefined");
  const earlier = before(version), was = earlier ? valueOf(earlier, key) : null;
  const has = low !== undefined && low !== null;
  return el("td", { "data-version": version.i },
    el("b", {}, three(value)), whisker(value, low, high, ends),
    has ? el("span", { class: "quiet" }, `${three(low)} to ${three(high)}`) : null,
    was === null ? null : el("span", { class: "change", title: `since ${earlier.name}, on the same test set` }, signed(value - was)));
}

function whisker(value, low, high, [from, to]) {
  const x = (v) => (100 * (v - from)) / (to - from);
  const node = svg("svg", { class: "whisker", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("line", { class: "scale", x1: 0, x2: 100, y1: 4, y2: 4 }));
  if (low !== undefined && low !== null) node.append(svg("line", { class: "range", x1: x(low), x2: x(high), y1: 4, y2: 4 }));
  node.append(svg("line", { class: "point", x1: x(value), x2: x(value), y1: 0, y2: 8 }));
  return node;
}

/** Round numbers within a range, at most seven. */
function roundTicks([low, high]) {
  const raw = (high - low) / 6, power = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= raw * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) ticks.push(k * step);
  return ticks;
}

/** One number over all versions, with its whiskers; a line joins versions of one test set. */
function drawTrend() {
  const { key } = trend, box = byId("trend");
  const shown = versions.filter((v) => valueOf(v, key) !== null && valueOf(v, key) !== undefined);
  if (shown.length < 2) { box.replaceChildren(); byId("trend-controls").hidden = true; return; }
  const ends = reach(shown.flatMap((v) => numberOf(v, key).slice(0, 3)));
  const width = Math.max(box.clientWidth, 280), step = (width - 94) / shown.length, slanted = step < 78;
  const every = Math.max(1, Math.ceil(22 / step)), letters = new Set(shown.map((v) => v.set)).size > 1;
  const bottom = (slanted ? 92 : 24) + (letters ? 18 : 0), top = 18, height = 210 + bottom;
  const x = (k) => 54 + step * (k + 0.5), y = (v) => height - bottom - ((v - ends[0]) / (ends[1] - ends[0])) * (height - bottom - top);
  const values = shown.map((v) => valueOf(v, key));
  const node = svg("svg", { class: "trend", viewBox: `0 0 ${width} ${height}`, height, role: "img",
    "aria-label": `${data.names[key]} of ${plural(shown.length, "version")}, from ${three(values[0])} (${shown[0].name}) to ${three(values[values.length - 1])} (${shown[shown.length - 1].name}); the table below has all` });
  for (const v of roundTicks(ends)) {
    node.append(svg("line", { class: "grid", x1: 54, x2: width - 10, y1: y(v), y2: y(v) }), svg("text", { x: 48, y: y(v) + 4, "text-anchor": "end" }, three(v)));
  }
  shown.forEach((v, k) => {
    const k0 = shown.indexOf(before(v));
    if (k0 >= 0) node.append(svg("line", { class: "join", x1: x(k0), y1: y(values[k0]), x2: x(k), y2: y(values[k]) }));
  });
  shown.forEach((v, k) => {
    const [value, low, high] = numberOf(v, key), place = x(k);
    if (low !== undefined && low !== null) node.append(svg("line", { class: "whisk", stroke: v.ink, x1: place, x2: place, y1: y(low), y2: y(high) }));
    node.append(svg("circle", { class: "dot", cx: place, cy: y(value), r: step < 14 ? 3 : 5, fill: v.ink }, svg("title", {}, `${v.name}: ${three(value)}`)));
    if (step >= 56) node.append(svg("text", { class: "value", x: place + 9, y: y(value) + 4 }, three(value)));
    if (k % every) return;
    const text = short(v.name, slanted ? 15 : Math.max(6, Math.floor(step / 7.5)));
    node.append(slanted
      ? svg("text", { x: place, y: height - bottom + 14, "text-anchor": "end", transform: `rotate(-52 ${place} ${height - bottom + 14})` }, text, svg("title", {}, v.name))
      : svg("text", { x: place, y: height - bottom + 18, "text-anchor": "middle" }, text, svg("title", {}, v.name)));
    if (letters && v.set) node.append(svg("text", { x: place, y: height - 4, "text-anchor": "middle" }, step * every >= 44 ? `set ${v.set}` : v.set));
  });
  box.replaceChildren(el("figure", {}, el("figcaption", {}, el("b", {}, data.names[key]), " with 95 % intervals, by training time; a line joins versions tested on the same images"), node));
}
