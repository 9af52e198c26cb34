showLabels();
showImages();
showConfusion();
showPlaces();
listSections(byId("contents"));
document.documentElement.dataset.ready = "true";
