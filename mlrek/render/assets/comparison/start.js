showLabels();
showImages();
showConfusion();
listSections(byId("contents"));
document.documentElement.dataset.ready = "true";
