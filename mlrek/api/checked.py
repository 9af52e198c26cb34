"""`mlrek.check`: may a version be promoted, as people hold the answer in Python."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from mlrek.api.evaluated import EvaluatedVersion, objects
from mlrek.api.given import Place, check_text
from mlrek.api.reading import refer
from mlrek.evaluation import Doubt
from mlrek.policy import Decision, Policy
from mlrek.policy.parsing import write_policy
from mlrek.promotion import Referred
from mlrek.promotion.check import Asking, check_version
from mlrek.promotion.promote import keep_decision
from mlrek.registry.door import DEFAULT_ALIAS
from mlrek.render import null_undefined
from mlrek.render.decision import build_decision_json, say_verdict, write_decision_markdown
from mlrek.sources import AwsOptions
from mlrek.sources.policies import make_policy, read_policy
from mlrek.text import escape_unprintable
from mlrek.tracking.connection import connect, connect_without_writing, keep_loggers

if TYPE_CHECKING:
    from pandas import DataFrame

_NUMBERS: Final = ("value", "baseline", "limit", "low", "high")
_GIVEN: Final = "policy"
"""What messages call a policy that is in no file."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class CheckedVersion:
    """The answer of a policy: what `mlrek.check` gives.

    It cannot be changed and is safe in threads. Shown as text it is one sentence.

    Attributes:
        decision: All of it, as `mlrek.policy` has it.
    """

    decision: Decision

    @property
    def verdict(self) -> str:
        """`passed`, `failed` or `undecided`."""
        return self.decision.verdict.value

    @property
    def checks(self) -> "DataFrame":
        """A row for each check of the policy.

        Columns: `kind` (str: `test_set`, `floor`, `no_worse`, `better`), `metric` (str), `label`
        (str or None), `slice` (str or None: `site=A`), `status` (str: `passed`, `failed`,
        `undecided`, `ignored`); `value`, `baseline`, `limit`, `low`, `high` (float64, NaN where
        there is none; the ends of the number's interval, of a check against the baseline those of
        the difference); `reason` (str).
        """
        from pandas import DataFrame, Series

        checks = self.decision.checks
        columns = {
            "kind": objects(check.kind.value for check in checks),
            "metric": objects(check.metric.name for check in checks),
            "label": objects(check.metric.label or None for check in checks),
            "slice": objects(check.metric.slice or None for check in checks),
            "status": objects(check.status.value for check in checks),
        }
        columns |= {
            name: Series([getattr(check, name) for check in checks], dtype="float64")
            for name in _NUMBERS
        }
        return DataFrame({**columns, "reason": objects(check.reason for check in checks)})

    @property
    def images_needed(self) -> int | None:
        """An estimate of the test images that would decide what is undecided, at the most."""
        return self.decision.images_needed

    @property
    def already_champion(self) -> bool:
        """Whether the candidate has the alias already, so that nothing is decided."""
        return self.decision.already_champion

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """What weakens the numbers of either side."""
        return self.decision.doubts

    @property
    def warnings(self) -> tuple[str, ...]:
        """Further remarks, one line each."""
        return self.decision.warnings

    def to_dict(self) -> dict[str, Any]:
        """The same document as `mlrek check --json`; None for what is undefined."""
        document: dict[str, Any] = null_undefined(build_decision_json(self.decision))
        return document

    def __repr__(self) -> str:
        return f"<CheckedVersion {escape_unprintable(say_verdict(self.decision))}>"

    def _repr_markdown_(self) -> str:
        return write_decision_markdown(self.decision)


def check(  # noqa: PLR0913 - each is a word of its caller
    candidate: Place | EvaluatedVersion,
    policy: Place | Mapping[str, Any],
    *,
    baseline: Place | EvaluatedVersion | None = None,
    alias: str = DEFAULT_ALIAS,
    group_by: str | None = None,
    log: bool = False,
    tracking_uri: str | None = None,
    region: str | None = None,
    profile: str | None = None,
) -> CheckedVersion:
    """Decide by a policy whether a version may be promoted. Nothing is written unless `log`.

    >>> import mlrek
    >>> floor = {"metric": "aggregate/accuracy", "min": 0.9, "confidence": 0.95}
    >>> d = mlrek.check("examples/digits#v2-linear", {"floor": [floor]})
    >>> d.verdict
    'passed'
    >>> d.checks[["kind", "metric", "status", "limit"]].values.tolist()
    [['floor', 'aggregate/accuracy', 'passed', 0.9]]

    Args:
        candidate: A VERSION (see `mlrek.read`), or what `read` or `evaluate` gave.
        policy: The path of a TOML file, its text (of several lines), or the same as dicts and
            lists.
        baseline: What to compare with instead of the policy's own: as `candidate`.
        alias: The alias that would be moved to it.
        group_by: A regular expression on image URIs whose first group names the object that is
            shown; instead of the policy's own.
        log: Keep the answer in the candidate's run, and count that it was checked, as `mlrek check`
            does.
        tracking_uri: The MLflow store of runs and models; None: as MLflow itself has it.
        region: The AWS region; None: that of the ARN, else your own.
        profile: The AWS profile; None: `AWS_PROFILE`.

    Raises:
        PolicyError: The policy is not valid, or compares with a baseline that nobody names.
        UsageError: A VERSION names none, or several.
        SourceError: An evaluation cannot be read.
        TrackingError: MLflow cannot be reached, or has no such run, model or alias.
    """
    asked_of, aws = (
        refer("candidate", candidate),
        AwsOptions(region=region or "", profile=profile or ""),
    )
    against = baseline.referred if isinstance(baseline, EvaluatedVersion) else None
    named = check_text("baseline", baseline or "") if against is None else _name(against)
    asked = _read(policy, named, group_by or "")
    with keep_loggers(), TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        connecting = connect if log else partial(connect_without_writing, folder=folder)
        open_store = cache(partial(connecting, tracking_uri or ""))
        asking = Asking(alias=alias, notes=log, baseline=against)
        decision = check_version(asked_of, asked, aws, open_store, asking)
        if log and decision.candidate.run_id:
            decision = keep_decision(decision, asked, open_store(), alias=alias)
    return CheckedVersion(decision=decision)


def _name(baseline: Referred) -> str:
    """What messages call a baseline that was read already."""
    return f"runs:/{baseline.run_id}" if baseline.run else baseline.evaluation.version.arn


def _read(policy: Place | Mapping[str, Any], baseline: str, group_by: str) -> Policy:
    if isinstance(policy, Mapping):
        return make_policy(write_policy(policy), _GIVEN, baseline, group_by)
    text = check_text("policy", policy)
    if "\n" in text:
        return make_policy(text, _GIVEN, baseline, group_by)
    return read_policy(text, baseline, group_by)
