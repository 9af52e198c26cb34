"""MLflow's process-wide store, for what of its own code knows no other."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from mlflow.tracking._tracking_service import utils


@contextmanager
def use_store(uri: str) -> Iterator[None]:
    """Let it be this one for a while; afterwards all is as before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "_tracking_uri", uri)
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        yield
