// ---- differences as dots with whiskers ----------------------------------------------------

function whiskers(rows) {
  const reach = Math.max(0.01, ...rows.flatMap((r) => [r.low, r.high, r.difference].filter((v) => v !== null).map(Math.abs)));
  const x = (value) => 50 + (50 * value) / reach;
  return el("div", { class: "deltas", role: "list" }, rows.map((row) => {
    const picture = svg("svg", { class: "delta", viewBox: "0 0 100 14", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("line", { class: "zero", x1: 50, x2: 50, y1: 0, y2: 14 }));
    if (row.low !== null) picture.append(svg("line", { class: "range", x1: x(row.low), x2: x(row.high), y1: 7, y2: 7 }));
    picture.append(svg("line", { class: "point", x1: x(row.difference), x2: x(row.difference), y1: 2, y2: 12 }));
    const ends = row.low === null ? "no interval" : `${signed(row.low)} to ${signed(row.high)}`;
    const interval = row.holm ? `${ends}, p (Holm) ${row.holm}` : ends;
    return el("div", { class: `delta-row ${row.judgement}`, role: "listitem", "data-name": row.name },
      el("span", { class: "delta-name", title: row.name }, name(row.name)),
      el("span", { class: "quiet delta-pair" }, `${three(row.baseline)} → ${three(row.candidate)}`),
      picture,
      el("span", { class: "delta-number" }, signed(row.difference)),
      el("span", { class: "quiet delta-span" }, interval));
  }));
}

function showDeltas() {
  byId("deltas").append(whiskers(data.deltas));
  if (!data.label_deltas.length) return;
  byId("labels").hidden = false;
  const state = { search: "", all: false };
  const draw = () => {
    const found = data.label_deltas.filter((row) => row.name.toLowerCase().includes(state.search.toLowerCase()));
    const shown = state.all ? found : found.slice(0, 20);
    const more = found.length > shown.length
      ? el("button", { type: "button", class: "more", onclick: () => { state.all = true; draw(); } }, `Show all ${count(found.length)}`) : null;
    byId("label-deltas").replaceChildren(shown.length ? whiskers(shown) : el("p", { class: "quiet" }, "No such label."), ...(more ? [more] : []));
  };
  if (data.label_deltas.length > 20) byId("labels-controls").append(search("Search labels", (text) => { state.search = text; draw(); }));
  draw();
}
