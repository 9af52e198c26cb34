const data = JSON.parse(byId("data").textContent);
const [baselineName, candidateName] = data.names;
const labels = data.labels;
const nLabels = labels.length - data.own;
const state = { label: -1 };
const KINDS = { broken: "Broken", fixed: "Fixed", changed: "Wrong in another way" };
const fileOf = (i) => data.images.names[i].split("/").pop() || data.images.names[i];
const uriOf = (i) => data.images.prefix + data.images.names[i];
