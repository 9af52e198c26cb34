startGalleries();
startThreshold();
startMatrix();
startLabels();
startSuspects();
startCalibration();
showPlaces();
listSections(byId("contents"));
document.documentElement.dataset.ready = "true";
