"""MLflow, the one place numbers are written to: what a run holds (pure), and the one writer."""
