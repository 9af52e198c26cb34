"use strict";
// What a report of one version and a comparison of several have in common.
// Names come from strangers: they only ever become text nodes, never markup.

const byId = (id) => document.getElementById(id);

/** An element with attributes and children; a text child becomes text, null is left out. */
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  return fill(node, attributes, children);
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  return fill(node, attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) {
    if (child !== null && child !== undefined) node.append(child);
  }
  return node;
}

/** A name of any script on a line of its own direction. */
const name = (text) => el("bdi", {}, text);

const count = (n) => n.toLocaleString("en-US");
const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many || one + "s"}`;

/** Three decimals, half to even, as the command line prints them; an undefined number is a dash. */
function three(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "—";
  const sixteenths = value * 16;
  if (Number.isInteger(sixteenths) && sixteenths % 2) { // only these lie half way
    const below = Math.floor(value * 1000);
    return ((below % 2 ? below + 1 : below) / 1000).toFixed(3);
  }
  return value.toFixed(3);
}

/** A share above 0 in percent; never 0, and 100 only for all of it. */
function percent(share) {
  const whole = Math.floor(share * 100 + 0.5);
  if (whole === 0) return share > 0 ? "<1 %" : "0 %";
  return whole === 100 && share < 1 ? ">99 %" : `${whole} %`;
}

/** A change with its sign; none where it is shown as zero. */
const signOf = (value, digits) => (Math.abs(value) < 0.5 * 10 ** -digits ? "" : value < 0 ? "−" : "+");
const signed = (value, digits = 3) => (value === null ? "—" : signOf(value, digits) + Math.abs(value).toFixed(digits));

const divide = (a, b) => (b === 0 ? NaN : a / b);

/** Wilson's 95 % interval of a share. */
function wilson(successes, n) {
  if (!(n > 0)) return null;
  const z = 1.959963984540054, share = successes / n, scale = 1 + (z * z) / n;
  const center = (share + (z * z) / (2 * n)) / scale;
  const half = (z / scale) * Math.sqrt((share * (1 - share)) / n + (z * z) / (4 * n * n));
  return [successes === 0 ? 0 : center - half, successes === n ? 1 : center + half];
}

const span = (interval) => (interval ? `${interval[0].toFixed(2)}–${interval[1].toFixed(2)}` : "");

/** Counts that never rise, as `encode_falling` writes them. */
function decodeFalling(text) {
  let value = 0;
  return text.split(",").map((step, i) => {
    const change = step ? parseInt(step, 36) : 0;
    value = i ? value - change : change;
    return value;
  });
}

/** Numbers that never fall, from their distances. */
function decodeRising(steps) {
  let value = 0;
  return steps.map((step) => (value += step));
}

/** A long name without its middle: names often differ at their ends. */
function short(text, most) {
  const characters = Array.from(text);
  if (characters.length <= most) return text;
  const end = Math.floor(most * 0.4);
  return characters.slice(0, most - end - 1).join("") + "…" + characters.slice(-end).join("");
}

/** Black or white, whichever is read better on a colour (WCAG 2); colours are [red, green, blue]. */
function inkOn(colour) {
  const linear = colour.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  const luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return luminance > 0.179 ? "#000000" : "#ffffff";
}

const blend = (over, under, share) => over.map((v, k) => v * share + under[k] * (1 - share));

/** A colour of the style as [red, green, blue]; there it stands as three numbers. */
const colourOf = (variable) => getComputedStyle(document.documentElement).getPropertyValue(variable).trim().split(/\s+/).map(Number);

/** Buttons of which one is pressed. */
function choice(legend, options, chosen, onChoose) {
  const buttons = options.map(([value, text]) =>
    el("button", {
      type: "button", "aria-pressed": String(value === chosen), "data-value": value,
      onclick: () => { press(value); onChoose(value); },
    }, text));
  const press = (value) => buttons.forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.value === value)));
  const node = el("fieldset", { class: "choice" }, el("legend", {}, legend), buttons);
  return { node, press };
}

function select(label, options, chosen, onChoose) {
  const node = el("select", { onchange: () => onChoose(node.value) });
  node.append(...options.map(([value, text]) => el("option", { value, selected: String(value) === String(chosen) }, text)));
  return { node: el("label", {}, label, node), set: (value) => { node.value = String(value); } };
}

function search(label, onSearch) {
  const node = el("input", { type: "search", autocomplete: "off", spellcheck: "false", oninput: () => onSearch(node.value) });
  return el("label", {}, label, node);
}

/** A chart of lines over [0, 1] x [0, 1]; `move` sets dots and the upright cursor. */
function chart({ title, subtitle, x, y, lines, diagonal }) {
  const width = 420, height = 280, left = 40, bottom = 38, top = 8, right = 10;
  const px = (v) => left + v * (width - left - right);
  const py = (v) => height - bottom - v * (height - bottom - top);
  const node = svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}: ${y} over ${x}` });
  for (let i = 0; i <= 4; i++) {
    const v = i / 4;
    node.append(
      svg("line", { class: "grid", x1: px(0), x2: px(1), y1: py(v), y2: py(v) }),
      svg("text", { x: left - 6, y: py(v) + 4, "text-anchor": "end" }, v.toFixed(2)),
      svg("text", { x: px(v), y: height - bottom + 15, "text-anchor": "middle" }, v.toFixed(2)));
  }
  node.append(svg("text", { x: px(0.5), y: height - 4, "text-anchor": "middle" }, x));
  if (diagonal) node.append(svg("line", { class: "cursor", x1: px(0), y1: py(0), x2: px(1), y2: py(1) }));
  const cursor = svg("line", { class: "cursor", y1: py(0), y2: py(1), visibility: "hidden" });
  const paths = lines.map((line) => svg("path", { class: "line", stroke: line.colour, "stroke-dasharray": line.dash || null }));
  const dots = lines.map((line) => svg("circle", { class: "dot", r: 5, fill: line.colour, visibility: "hidden" }));
  node.append(cursor, ...paths, ...dots);
  const caption = el("figcaption", {}, el("b", {}, title), subtitle ? " " + subtitle : "");
  const legend = lines.length > 1
    ? el("div", { class: "legend" }, lines.map((line) => el("span", {}, el("i", { style: `background:${line.colour}` }), line.name))) : null;
  return {
    node: el("figure", {}, caption, node, legend),
    caption: (text) => caption.replaceChildren(el("b", {}, title), text ? " " + text : ""),
    draw(i, points) {
      let path = "", pen = "M";
      for (const [vx, vy] of points) {
        if (Number.isNaN(vx) || Number.isNaN(vy)) { pen = "M"; continue; }
        path += `${pen}${px(vx).toFixed(1)} ${py(vy).toFixed(1)}`;
        pen = "L";
      }
      paths[i].setAttribute("d", path);
    },
    move(points, at) {
      points.forEach((point, i) => {
        const hidden = !point || point.some(Number.isNaN);
        dots[i].setAttribute("visibility", hidden ? "hidden" : "visible");
        if (!hidden) { dots[i].setAttribute("cx", px(point[0])); dots[i].setAttribute("cy", py(point[1])); }
      });
      cursor.setAttribute("visibility", at === undefined ? "hidden" : "visible");
      if (at !== undefined) { cursor.setAttribute("x1", px(at)); cursor.setAttribute("x2", px(at)); }
    },
  };
}

/** The navigation of the sections that are there. */
function listSections(nav) {
  for (const section of document.querySelectorAll("main section[data-title]:not([hidden])")) {
    nav.append(el("a", {
      href: "#" + section.id,
      onclick: (event) => { event.preventDefault(); section.scrollIntoView(); section.tabIndex = -1; section.focus({ preventScroll: true }); },
    }, section.dataset.title));
  }
}
