"""From a source to complete runs: read, compute, draw, log, one version at a time."""
