startGalleries();
startThreshold();
startMatrix();
startLabels();
startSuspects();
startCalibration();
listSections(byId("contents"));
document.documentElement.dataset.ready = "true";
