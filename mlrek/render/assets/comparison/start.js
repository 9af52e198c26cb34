showLabels();
showImages();
showConfusion();
showLabelList();
showPlaces();
listSections(byId("contents"));
document.documentElement.dataset.ready = "true";
