const data = JSON.parse(byId("data").textContent);
const labels = data.labels;
const isDetection = data.task === "detection";
const OUTCOMES = ["tp", "fn", "fp"];
const state = { label: -1, step: 50, gallery: 0, by: "rule", matrix: { order: "label", unit: "count", most: 25, search: "" } };
