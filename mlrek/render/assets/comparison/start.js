showLabels();
showImages();
showConfusion();
showLabelList();
if (data.slices) startSlices();
showPlaces();
listSections(byId("contents"));
document.documentElement.dataset.ready = "true";
