// ---- differences with their intervals as pictures, 0 in the middle ---------------------------

function axisHead(reach) {
  const ends = [`−${reach.toFixed(2)}`, "0", `+${reach.toFixed(2)}`];
  return el("th", { scope: "col", class: "axis" }, el("span", { class: "hidden" }, "picture of the interval"), el("span", { class: "ends", "aria-hidden": "true" }, ends.map((text) => el("span", {}, text))));
}

/** The interval and the difference in it, 0 in the middle. */
function whisker({ low, high, difference }, reach) {
  const x = (value) => 50 + (50 * value) / reach;
  const picture = svg("svg", { class: "delta", viewBox: "0 0 100 14", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("line", { class: "zero", x1: 50, x2: 50, y1: 0, y2: 14 }));
  if (low !== null) picture.append(svg("line", { class: "range", x1: x(low), x2: x(high), y1: 7, y2: 7 }));
  picture.append(svg("line", { class: "point", x1: x(difference), x2: x(difference), y1: 2, y2: 12 }));
  return picture;
}
