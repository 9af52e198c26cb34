// ---- threshold ----------------------------------------------------------------------------

/** The counts of this version at any threshold; without images what the service publishes. */
const curves = data.curves ? computedCurves() : Object.keys(data.published).length ? publishedCurves() : null;

function computedCurves() {
  const { tp, fp, support, all_tp, all_fp } = data.curves, decoded = new Map();
  const decode = (label) => label < 0
    ? { tp: decodeFalling(all_tp), fp: decodeFalling(all_fp), support: support.reduce((a, b) => a + b, 0) }
    : { tp: decodeFalling(tp[label]), fp: decodeFalling(fp[label]), support: support[label] };
  const of = (label) => {
    if (!decoded.has(label)) decoded.set(label, decode(label));
    return decoded.get(label);
  };
  const steps = Array.from({ length: 101 }, (_, i) => i);
  return {
    at(label, step) {
      const c = of(label), t = c.tp[step], f = c.fp[step], n = c.support - t;
      return { tp: t, fp: f, fn: n, precision: divide(t, t + f), recall: divide(t, t + n), f1: divide(2 * t, 2 * t + f + n) };
    },
    from: (label) => (label < 0 ? data.curves.from_step : data.curves.from_steps[label]),
    support: (label) => of(label).support,
    steps: () => steps, labels: labels.map((_, i) => i), stopsAt: data.curves.stops_at, images: data.curves.images,
  };
}

function publishedCurves() {
  const known = Object.keys(data.published).map(Number);
  return {
    at(label, step) {
      const found = findPublished(label, step / 100) || {};
      const numbers = ["tp", "fp", "fn", "precision", "recall", "f1"].map((key) => [key, found[key] ?? NaN]);
      return { at: found.at, ...Object.fromEntries(numbers) };
    },
    from: () => 0, support: () => NaN,
    steps: (label) => [...new Set((data.published[label] || { thresholds: [] }).thresholds.map((t) => Math.round(100 * t)))],
    labels: known.filter((label) => label >= 0), stopsAt: "", images: null,
  };
}

/** Where a threshold may be looked for: where the records are complete. */
const listSteps = (label) => curves.steps(label).filter((step) => step >= (curves.from(label) ?? 101));

/** The step with the best F1, the lowest of equal ones; null where records do not carry it. */
function bestF1(label) {
  let best = null, value = -1;
  for (const step of listSteps(label)) {
    const { f1 } = curves.at(label, step);
    if (f1 > value) { best = step; value = f1; }
  }
  return value > 0 ? best : null;
}

/** What can be promised of a precision: { step, n, wrong, needed, least }; null where records do not tell. */
function advise(label, goal) {
  const advice = data.curves && data.curves.advice, all = advice && (label < 0 ? advice.all : advice.labels[label]);
  if (!all) return null;
  const i = advice.goals.indexOf(goal), [step, n, wrong, needed] = all[i];
  return { step, n, wrong, needed, least: advice.least[i] };
}

/** The lowest step from which on the precision holds with 95 % confidence; null where none can be promised. */
const promisesPrecision = (label, goal) => advise(label, goal)?.step ?? null;

/** The service's own threshold in percent; null where it publishes none. */
const ownThreshold = (label) => (data.thresholds[label] === null ? null : Number((100 * data.thresholds[label]).toFixed(4)));

function startThreshold() {
  if (!curves) return;
  byId("threshold").hidden = false;
  const slider = byId("threshold-slider");
  const charts = makeCharts();
  byId("charts").append(...charts.nodes);
  slider.addEventListener("input", () => { state.step = Number(slider.value); useThreshold(); moveThreshold(charts); drawGalleries(); moveMatrix(); });
  onLabel.push((label) => {
    byId("threshold-label").replaceChildren(label < 0 ? "all labels together" : name(labels[label]));
    drawMarks(); charts.draw(); moveThreshold(charts); drawAdvice();
  });
  goTo = (step) => { slider.value = String(step); state.step = step; useThreshold(); moveThreshold(charts); drawGalleries(); moveMatrix(); };
  byId("threshold-stops").textContent = curves.stopsAt ? `Mind: ${curves.stopsAt}.` : "";
  if (!data.curves) byId("threshold-lead").textContent = "The service's own numbers, at its published threshold that is nearest; nothing is interpolated.";
  byId("copy-goal").addEventListener("change", writeList);
  byId("copy-button").addEventListener("click", () => copyFrom(byId("copy-text"), byId("copy-note")));
  byId("copy-details").addEventListener("toggle", writeList);
  offerLists();
  drawMarks(); charts.draw(); moveThreshold(charts); drawAdvice();
}

let goTo = () => {};

function drawMarks() {
  const shown = state.label < 0 ? data.thresholds : [data.thresholds[state.label]];
  const known = shown.filter((t) => t !== null);
  byId("threshold-marks").replaceChildren(...[...new Set(known.map((t) => t.toFixed(3)))].map((t) => el("i", { style: `left:${100 * t}%` })));
  let note = `The ${data.who} assumes no thresholds.`;
  if (known.length === 1) note = `Marked: the threshold that the ${data.who} assumes, ${known[0].toFixed(4)}.`;
  if (known.length > 1) {
    const [least, most] = [Math.min(...known), Math.max(...known)].map((t) => t.toFixed(4));
    note = `Marked: the ${least === most ? `threshold that the ${data.who} assumes for ${known.length} labels, ${least}` : `thresholds that the ${data.who} assumes for ${known.length} labels, ${least} to ${most}`}.`;
  }
  byId("threshold-marks-note").textContent = note;
}

function moveThreshold(charts) {
  const now = curves.at(state.label, state.step);
  byId("threshold-value").textContent = `${state.step} %`;
  byId("threshold-slider").setAttribute("aria-valuetext", `${state.step} percent: precision ${three(now.precision)}, recall ${three(now.recall)}`);
  const said = data.curves ? findPublished(state.label, state.step / 100) : null;
  const whole = (n) => (Number.isNaN(n) ? "—" : count(n));
  const cell = (title, key, text, interval) =>
    el("div", {}, el("dt", {}, title), el("dd", {}, el("data", { id: `at-${key}`, value: Number.isNaN(now[key]) ? "" : String(now[key]) }, text), interval ? el("span", { class: "quiet" }, span(interval)) : null,
      said && said[key] !== null ? el("span", { class: "said" }, "service ", el("data", { id: `said-${key}`, value: String(said[key]) }, key.length === 2 && key !== "f1" ? count(said[key]) : three(said[key]))) : null));
  byId("threshold-numbers").replaceChildren(
    cell("precision", "precision", three(now.precision), wilson(now.tp, now.tp + now.fp)),
    cell("recall", "recall", three(now.recall), wilson(now.tp, now.tp + now.fn)),
    cell("F1", "f1", three(now.f1)),
    cell("right (TP)", "tp", whole(now.tp)), cell("false alarms (FP)", "fp", whole(now.fp)), cell("missed (FN)", "fn", whole(now.fn)));
  if (!data.curves) byId("threshold-stops").textContent = now.at === undefined ? "Nothing is published of this label." : `The nearest published threshold is ${now.at}.`;
  charts.move(now);
}

/** What the service itself publishes at the nearest threshold, the lower of two; null: nothing. */
function findPublished(label, threshold) {
  const own = data.published[label];
  if (!own) return null;
  let best = 0;
  own.thresholds.forEach((t, i) => { if (Math.abs(t - threshold) < Math.abs(own.thresholds[best] - threshold) - 1e-9) best = i; });
  return { at: own.thresholds[best], tp: own.tp[best], fp: own.fp[best], fn: own.fn[best], precision: own.precision[best], recall: own.recall[best], f1: own.f1[best] };
}

function makeCharts() {
  const blue = "var(--blue)", orange = "var(--orange)", ink = "var(--ink)";
  const scores = chart({ title: "Over the threshold", x: "confidence threshold", y: "score", lines: [
    { name: "precision", colour: blue }, { name: "recall", colour: orange, dash: "6 3" }, { name: "F1", colour: ink }] });
  const ranked = chart({ title: "Precision and recall", x: "recall", y: "precision", lines: [{ name: "curve", colour: blue }] });
  const roc = curves.images === null ? null
    : chart({ title: "ROC", x: "false positive rate", y: "true positive rate", diagonal: true, lines: [{ name: "curve", colour: blue }] });
  const rates = (now) => {
    const negatives = curves.images * (state.label < 0 ? labels.length : 1) - curves.support(state.label);
    return [divide(now.fp, negatives), now.recall];
  };
  return {
    nodes: [scores, ranked, roc].filter(Boolean).map((c) => c.node),
    draw() {
      const steps = curves.steps(state.label), points = steps.map((step) => curves.at(state.label, step));
      ["precision", "recall", "f1"].forEach((key, k) => scores.draw(k, points.map((p, i) => [steps[i] / 100, p[key]])));
      const own = data.precision_recall.find((curve) => curve.label === state.label);
      ranked.draw(0, own ? own.recall.map((r, i) => [r ?? NaN, own.precision[i] ?? NaN]) : points.map((p) => [p.recall, p.precision]));
      ranked.caption(own && own.area !== null ? `average precision ${three(own.area)}` : "");
      if (roc) {
        roc.draw(0, [...points.map(rates), [0, 0]]);
        const auc = state.label >= 0 && data.columns.roc_auc ? data.columns.roc_auc[state.label] : null;
        roc.caption(auc === null ? "" : `area ${three(auc)}`);
      }
    },
    move(now) {
      const at = state.step / 100;
      scores.move([[at, now.precision], [at, now.recall], [at, now.f1]], at);
      ranked.move([[now.recall, now.precision]]);
      if (roc) roc.move([rates(now)]);
    },
  };
}

function drawAdvice() {
  if (!canAdvise()) return; // said once, below the numbers
  const label = state.label, items = [];
  const at = (step) => el("button", { type: "button", onclick: () => goTo(step) }, `${step} %`);
  const from = curves.from(label);
  if (from === null) {
    items.push(el("li", {}, `None for ${label < 0 ? "all labels together" : "this label"}: ${curves.stopsAt}.${label < 0 && canAdvise() ? " Choose a label." : ""}`));
  } else {
    const best = bestF1(label);
    if (label < 0 && from > 0 && best === from) {
      items.push(el("li", {}, `No best F1 for all labels together: ${curves.stopsAt}. Choose a label.`));
    } else if (best !== null) {
      const { f1, tp, fp, fn } = curves.at(label, best);
      items.push(el("li", {}, `Best F1 ${three(f1)} at `, at(best), ` (precision ${span(wilson(tp, tp + fp))}, recall ${span(wilson(tp, tp + fn))})${best === from && from > 0 ? "; lower thresholds cannot be judged" : ""}.`));
    }
    if (!data.curves) items.push(el("li", {}, "No precision is promised: the service's own curves alone are there, without the answers that they count."));
    for (const goal of data.curves ? [0.95, 0.99] : []) items.push(el("li", {}, ...sayPrecision(label, goal, at)));
    if (from > 0) items.push(el("li", { class: "quiet" }, `Looked for from ${from} % on, where the records are complete.`));
  }
  byId("advice").replaceChildren(...items);
}

/** Whether the records of any label carry advice. */
const canAdvise = () => curves.labels.some((label) => curves.from(label) !== null);

/** From where on a precision holds with 95 % confidence, or what is missing. */
function sayPrecision(label, goal, at) {
  const found = advise(label, goal), counted = label < 0 || isDetection ? "image" : "prediction";
  if (!found) return [`Precision ≥ ${goal}: ${curves.stopsAt}.`];
  if (found.step !== null) {
    const { tp, fp, fn, precision, recall } = curves.at(label, found.step);
    const by = counted === "image" ? `, counted by images, ${count(found.wrong)} of ${count(found.n)} wrong` : "";
    return [`Precision ≥ ${goal} from `, at(found.step), `: ${three(precision)} (${span(wilson(tp, tp + fp))}), with recall ${three(recall)} (${span(wilson(tp, tp + fn))}); true with 95 % confidence${by}.`];
  }
  if (found.n < found.least) return [`Precision ≥ ${goal} cannot be promised: ${plural(found.n, counted)}, at least ${count(found.least)} are needed.`];
  const seen = `of the ${count(found.n)} surest ${counted}s ${count(found.wrong)} ${found.wrong === 1 ? "is" : "are"} wrong`;
  const missing = found.needed === null ? "which is not less than that allows" : `about ${count(found.needed)} would be needed if as many stay right`;
  return [`Precision ≥ ${goal} cannot be promised: ${seen}, ${missing}.`];
}

/** The lists that there is something to copy of; none at all where nothing is. */
function offerLists() {
  const picker = byId("copy-goal"), hasOwn = curves.labels.some((label) => ownThreshold(label) !== null);
  for (const option of [...picker.options]) {
    const isOwn = option.value === "service", isPrecision = !isOwn && option.value !== "f1";
    if (isOwn ? !hasOwn : !canAdvise() || (isPrecision && !data.curves)) option.remove();
  }
  byId("copy-details").hidden = !picker.options.length;
  if (canAdvise()) return;
  byId("threshold-stops").textContent = `No threshold is advised: ${curves.stopsAt}.${hasOwn ? ` The ${data.who}'s own are below, to copy.` : ""}`;
  for (const id of ["advice-title", "advice"]) byId(id).hidden = true;
  byId("advice-box").hidden = !hasOwn;
  byId("copy-details").open = true;
}

function writeList() {
  const goal = byId("copy-goal").value, chosen = {};
  const choose = goal === "f1" ? bestF1 : goal === "service" ? ownThreshold : (label) => promisesPrecision(label, Number(goal));
  curves.labels.forEach((i) => {
    const step = choose(i);
    if (step !== null) Object.defineProperty(chosen, labels[i], { value: step, enumerable: true }); // __proto__ is a name too
  });
  const known = Object.keys(chosen).length, lacking = curves.labels.length - known;
  const why = goal === "f1" ? "no threshold does it" : goal === "service" ? `the ${data.who} has none` : "it cannot be promised; the advice on each label says what is missing";
  byId("copy-text").value = known ? JSON.stringify(chosen, null, 1) : "";
  byId("copy-note").textContent = lacking ? `${known ? `${plural(lacking, "label")} left out` : "Nothing to copy"}: ${why}` : "";
}
