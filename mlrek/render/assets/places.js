// ---- links to MLflow's pages ---------------------------------------------------------------
// MLflow shows a page of ours in a frame that opens no other page: there a link gives its address.

const isFramed = window.self !== window.top;

/** Where MLflow's pages are for whoever looks: a frame's own address is that of another machine. */
function servedAt(base) {
  const isHere = isFramed && location.protocol === "blob:" && /^https?:\/\//.test(document.referrer);
  return isHere ? document.referrer.replace(/[?#].*$/, "").replace(/\/+$/, "") : base;
}

function showPlaces() {
  const held = document.querySelector('meta[name="mlrek-places"]').content.trim();
  if (!held) return;
  const { base, places } = JSON.parse(held), node = byId("places");
  node.hidden = false;
  node.append(el("span", {}, isFramed ? "In MLflow (a press copies the address, to open in a new tab):" : "In MLflow:"),
    ...places.map(([text, place]) => el("a", { href: `${servedAt(base)}/${place}`, target: "_blank", rel: "noopener" }, text)));
}

/** The address of a link to MLflow's pages, as whoever looks would type it. */
function addressOf({ href }) {
  const at = href.indexOf("/#/");
  return at < 0 ? href : servedAt(href.slice(0, at)) + href.slice(at);
}

/** The address of a link, to copy: selected, and copied where the browser lets it. */
function offerAddress(link) {
  byId("offered")?.remove();
  const field = el("input", { type: "text", readonly: true, value: addressOf(link), "aria-label": `Address of ${link.textContent}` });
  const close = () => { box.remove(); link.focus(); };
  const note = el("span", { role: "status" });
  const copy = () => {
    let isCopied = false;
    field.focus(); field.select();
    try { isCopied = document.execCommand("copy"); } catch { isCopied = false; }
    note.textContent = isCopied ? "Copied: open it in a new tab." : "Press Ctrl+C (⌘C), then open it in a new tab.";
  };
  const box = el("div", { id: "offered", role: "group", "aria-label": "An address to open in a new tab", onkeydown: (event) => { if (event.key === "Escape") close(); } },
    field, el("button", { type: "button", onclick: copy }, "Copy"), el("button", { type: "button", onclick: close }, "Close"), note);
  document.body.append(box);
  copy();
}

if (isFramed) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a");
    if (!link || !/^https?:$/.test(link.protocol)) return;
    event.preventDefault();
    offerAddress(link);
  });
}
