"""Evaluations of managed vision models as MLflow runs that compare side by side.

The same as the commands, for notebooks and programs: `read` or `evaluate` a version, look at its
numbers, tables, figures and report; `compare` two; `check` whether one may be promoted; `log` one,
or `sync` all of a source. Results cannot be changed and are safe in threads; nothing is printed and
nothing global is set. What goes wrong is an `MlrekError` with one line that says what to do.

    >>> import mlrek
    >>> ev = mlrek.read("examples/digits#v2-linear")
    >>> ev
    <EvaluatedVersion digits/v2-linear: classification, 754 images, accuracy 0.932>
    >>> round(ev.metrics["aggregate/accuracy"].value, 4)
    0.9324

Each name is imported when it is first used: `import mlrek` costs next to nothing.
"""

from importlib import import_module

TYPE_CHECKING = False  # checkers know the name; importing `typing` takes longer than all else here
if TYPE_CHECKING:
    from mlrek.api.arrays import evaluate
    from mlrek.api.checked import CheckedVersion, check
    from mlrek.api.compared import ComparedVersions, compare
    from mlrek.api.evaluated import EvaluatedVersion, NumberMap, ThresholdNumbers
    from mlrek.api.logged import LoggedVersion, SyncedVersions, log, sync
    from mlrek.api.reading import read
    from mlrek.errors import MlrekError
    from mlrek.evaluation import Doubt
    from mlrek.metrics import Number

__version__ = "0.1.0"

__all__ = [
    "CheckedVersion",
    "ComparedVersions",
    "Doubt",
    "EvaluatedVersion",
    "LoggedVersion",
    "MlrekError",
    "Number",
    "NumberMap",
    "SyncedVersions",
    "ThresholdNumbers",
    "__version__",
    "check",
    "compare",
    "evaluate",
    "log",
    "read",
    "sync",
]

_MODULES = {
    "CheckedVersion": "mlrek.api.checked",
    "ComparedVersions": "mlrek.api.compared",
    "Doubt": "mlrek.evaluation",
    "EvaluatedVersion": "mlrek.api.evaluated",
    "LoggedVersion": "mlrek.api.logged",
    "MlrekError": "mlrek.errors",
    "Number": "mlrek.metrics",
    "NumberMap": "mlrek.api.evaluated",
    "SyncedVersions": "mlrek.api.logged",
    "ThresholdNumbers": "mlrek.api.evaluated",
    "check": "mlrek.api.checked",
    "compare": "mlrek.api.compared",
    "evaluate": "mlrek.api.arrays",
    "log": "mlrek.api.logged",
    "read": "mlrek.api.reading",
    "sync": "mlrek.api.logged",
}
"""Where each public name is."""


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'mlrek' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
