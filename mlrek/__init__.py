"""Evaluations of managed vision models as MLflow runs that compare side by side."""

__version__ = "0.1.0"
