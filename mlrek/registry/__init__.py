"""MLflow's model registry: one model version for each version of a project, with its model."""
