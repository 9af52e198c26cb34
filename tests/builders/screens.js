// What a reader would call broken on a page, a line each; run as the body of a function.

const faults = [];
const say = (what, node, more) => faults.push(`${what}: ${(node.id ? `#${node.id} ` : "")}${node.tagName.toLowerCase()}.${node.getAttribute("class") || ""} “${(node.textContent || "").trim().slice(0, 50)}” ${more || ""}`);
const visible = (node) => node.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !node.closest(".hidden, [aria-hidden='true']");
const all = (selector) => [...document.querySelectorAll(selector)].filter(visible);
const parts = (text) => (text.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);

/** The colour behind a node; null where it is a picture. */
function ground(node) {
  if (!node) return [255, 255, 255];
  const style = getComputedStyle(node);
  if (style.backgroundImage !== "none") return null;
  const found = parts(style.backgroundColor);
  return found.length < 4 || found[3] === 1 ? found : ground(node.parentElement);
}

const light = (rgb) => rgb.slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);

if (document.documentElement.scrollWidth > innerWidth) say("the page scrolls sideways", document.documentElement, `${document.documentElement.scrollWidth} > ${innerWidth}`);

// titles, names, buttons: nothing of them is cut off, unless a title tells the whole
for (const node of all("h1, h2, h3, h4, summary, caption, figcaption, dt, th, button, label, legend, .tag, .big, option:checked")) {
  const style = getComputedStyle(node);
  const cut = node.scrollWidth > node.clientWidth + 1 && style.overflowX !== "visible" && node.clientWidth > 0;
  if (cut && !node.title && !node.closest("[title]")) say("cut title", node, `${node.scrollWidth} > ${node.clientWidth}`);
}
for (const node of all("select")) {
  const text = node.selectedOptions[0]?.textContent || "";
  const probe = document.createElement("span");
  probe.style.cssText = `position:absolute;visibility:hidden;white-space:pre;font:${getComputedStyle(node).font}`;
  probe.textContent = text;
  document.body.append(probe);
  const wide = probe.offsetWidth;
  probe.remove();
  if (wide > node.clientWidth) say("cut choice", node, text);
}

// a section or panel that is there has something in it
for (const node of all("main section, .panel, .scroll, figure, details[open], ul, tbody, svg, canvas")) {
  const box = node.getBoundingClientRect();
  const heading = node.querySelector("h2, h3, summary")?.textContent.length || 0;
  const filled = node.textContent.trim().length - heading > 0 || node.matches("svg, canvas") || node.querySelector("img, svg, canvas, input");
  if (!filled) say("empty pane", node);
  if (node.matches("svg, canvas") && (box.width < 2 || box.height < 2)) say("no room", node);
}

// what is read is large enough and stands out from what is behind it
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let text = texts.nextNode(); text; text = texts.nextNode()) {
  const node = text.parentElement;
  if (!text.data.trim() || node.closest("script, style, noscript") || !visible(node)) continue;
  const style = getComputedStyle(node);
  let size = parseFloat(style.fontSize);
  const drawing = node.closest("svg");
  if (drawing && drawing.viewBox.baseVal?.width) size *= drawing.getBoundingClientRect().width / drawing.viewBox.baseVal.width;
  if (size < 9) say("too small", node, `${size.toFixed(1)} px`);
  const behind = ground(drawing ? drawing.parentElement : node);
  const ink = parts(drawing ? style.fill : style.color);
  if (behind && contrast(ink, behind) < 4.5) say("pale", node, contrast(ink, behind).toFixed(2));
}

for (const node of all("img")) if (!node.hasAttribute("alt")) say("no alt", node);
const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) faults.push(`two elements have the id ${id}`);
return [...new Set(faults)];
