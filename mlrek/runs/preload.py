"""What reading and describing a version imports, once for all the processes that do so.

Only the process that they are forked from imports this module. What it holds by then stays, so none
of them looks for garbage in it, and neither does this process while it imports.
"""

import gc
import sys
from importlib import import_module

gc.disable()

MODULES = (
    "jinja2",
    "mlrek.runs.content",
    "mlrek.sources.s3",
    "mlrek.runs.workers",
    "mlrek.figures.charts",
    "mlrek.figures.confusion",
    "mlrek.figures.threshold_grid",
    "scipy.cluster.hierarchy",
    "scipy.special",
)
"""The heavy ones are imported where they are used, which each process would do by itself."""


class NoPandas:
    """Says that pandas is not installed."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        """Nothing of any other module.

        Raises:
            ModuleNotFoundError: Of pandas.
        """
        if name == "pandas":
            raise ModuleNotFoundError(name)


def keep_pandas_out() -> None:
    """Let pyarrow look for pandas, which it does once, while there is none.

    With its first array it would import pandas, only to know that no array is of it.
    """
    import pyarrow as pa

    sys.meta_path.insert(0, NoPandas)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(NoPandas)


def preload() -> None:
    """Import all of it, and compile the templates of the report."""
    for module in MODULES:
        import_module(module)
    keep_pandas_out()
    from PIL import Image

    Image.preinit()
    from mlrek.render.report import REPORT_TEMPLATES, read_template

    for template in REPORT_TEMPLATES:
        read_template(template)
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)  # as `mlrek sync` itself
    gc.enable()


preload()
