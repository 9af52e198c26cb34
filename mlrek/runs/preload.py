"""What reading and describing a version imports, once for all the processes that do so.

Only the process that they are forked from imports this module. What it holds by then stays, so none
of them looks for garbage in it.
"""

import gc
from importlib import import_module

from mlrek.render.report import REPORT_TEMPLATES, read_template

MODULES = (
    "botocore.session",
    "jinja2",
    "mlrek.runs.content",
    "mlrek.sources.s3",
    "mlrek.runs.workers",
    "pandas",  # pyarrow imports it with its first array
    "scipy.cluster.hierarchy",
    "scipy.special",
)
"""The heavy ones are imported where they are used, which each process would do by itself."""
gc.set_threshold(50_000, 10, 10)  # as `mlrek sync` itself
for module in MODULES:
    import_module(module)
for template in REPORT_TEMPLATES:
    read_template(template)
gc.freeze()
