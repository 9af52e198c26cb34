const data = JSON.parse(byId("data").textContent);
const labels = data.labels;
const isDetection = data.task === "detection";
const OUTCOMES = ["tp", "fn", "fp"];
const state = { label: -1, step: 50, by: "rule", matrix: { by: "rule", order: "label", unit: "count", shown: "drawn", search: "" } };
