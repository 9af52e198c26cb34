"""May this version be promoted? Reads the versions, compares, decides, and notes the answer."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from mlrek.comparison.doubts import find_leakage
from mlrek.comparison.pairing import group_images, number_groups
from mlrek.errors import TrackingError
from mlrek.evaluation import Doubt, Evaluation
from mlrek.formats.doubts import list_doubts
from mlrek.metrics import PredictionRule
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.test_set import test_set_digest
from mlrek.policy import (
    DEFAULT_CONFIDENCE,
    Candidate,
    Decision,
    Looks,
    Numbers,
    Opponent,
    Policy,
    Portions,
    Status,
)
from mlrek.policy.deciding import decide
from mlrek.policy.parsing import parse_policy
from mlrek.policy.reading import collect_numbers, count_test_images
from mlrek.policy.relative import say_incomparable
from mlrek.promotion import (
    Referred,
    find_logged_run,
    find_look,
    list_looks,
    load_given,
    name_look,
    take_look,
)
from mlrek.promotion.baseline import (
    CHECKS_FOLDER,
    compare_sides,
    doubt_groups,
    doubt_run,
    find_opponent,
    identify,
    is_champion,
    say_incomplete,
)
from mlrek.promotion.slices import cut_slices
from mlrek.registry.door import DEFAULT_ALIAS, VALIDATION, Registry, ValidationStatus, check_alias
from mlrek.render import write_json
from mlrek.render.decision import build_decision_json
from mlrek.sources import AwsOptions
from mlrek.sources.policies import with_groups
from mlrek.tracking import RegisteredVersion
from mlrek.tracking.store import Store

_VALIDATED = {
    Status.PASSED: ValidationStatus.APPROVED,
    Status.FAILED: ValidationStatus.REJECTED,
    Status.UNDECIDED: ValidationStatus.UNDECIDED,
}
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How the gate is asked.

    `alias` is what would be moved to the candidate. `notes`: keep the answer in the candidate's
    run, and in the tag of a registered version. `registered` is what the candidate is registered
    as, where its text does not tell. `baseline` is the policy's, where it was read already.
    """

    alias: str = DEFAULT_ALIAS
    notes: bool = True
    registered: RegisteredVersion | None = None
    baseline: Referred | None = None


def check_version(
    candidate: str | Referred,
    policy: Policy,
    aws: AwsOptions,
    open_store: Callable[[], Store],
    asking: Asking | None = None,
) -> Decision:
    """Decide whether a version may be promoted.

    A candidate that is a run on your own test set is compared with the baseline's run on the same
    one, where there is one. A candidate that has the alias already passes; nothing is written.

    Args:
        candidate: A VERSION as typed, or as it was read.
        policy: What it must fulfil; its `baseline` is a VERSION as typed too.
        aws: Region and profile.
        open_store: Called for runs and models.
        asking: How it is asked.

    Raises:
        UsageError: A text names no version, or more than one.
        SourceError: An evaluation cannot be read.
        TrackingError: MLflow cannot be reached or refuses.
    """
    asking = asking or Asking()
    check_alias(asking.alias)
    store = cache(open_store)
    referred = load_given(candidate, aws, store)
    referred = replace(referred, registered=referred.registered or asking.registered)
    if referred.run is not None and not referred.run.is_logged:
        raise TrackingError(say_incomplete(referred.run.run_id))
    described = _compute_candidate(referred, policy.test_set.group_by, store)
    moves = asking.registered.name if asking.registered else ""
    if referred.run is not None and is_champion(
        referred, policy.baseline, asking.alias, Registry(store()), moves=moves
    ):
        reason = f"the candidate is already the {asking.alias}"
        described = replace(described, is_champion=True)
        opponent = Opponent(absent=reason)
        return decide(policy, described, opponent, slices=_cut(policy, referred, opponent, None))
    opponent, baseline = find_opponent(
        policy, referred, asking.alias, aws, store, read=asking.baseline
    )
    looks = _count_looks(policy, referred, opponent, store, asking.notes)
    slices = _cut(policy, referred, opponent, baseline)
    decision = decide(policy, described, opponent, looks, slices)
    if asking.notes and referred.run is not None:
        of_itself = bool(opponent.incomparable) and _is_of_one(described, opponent)
        return _note(decision, policy, referred, store(), judges=not of_itself)
    return decision


def _is_of_one(candidate: Candidate, opponent: Opponent) -> bool:
    """Whether both sides are one version: a comparison that asks nothing gives no status."""
    other = opponent.identity
    return other is not None and other.version_arn == candidate.identity.version_arn


def load_candidate(
    text: str, aws: AwsOptions, open_store: Callable[[], Store]
) -> tuple[Referred, Candidate]:
    """A version as typed, and its numbers as a policy reads them. Writes nothing.

    Raises:
        UsageError: The text names no version, or more than one.
        SourceError: Its evaluation cannot be read.
        TrackingError: MLflow cannot be reached or refuses.
    """
    referred = load_given(text, aws, open_store)
    return referred, _compute_candidate(referred, "", None)


def decide_again(
    policy: Policy,
    candidate: Referred,
    baseline: Referred | None,
    looks: Mapping[str, Any] | None,
) -> Decision:
    """A decision from both evaluations alone, as `check_version` made it when they were the newest.

    Args:
        policy: What it was decided by.
        candidate: The version that was promoted.
        baseline: What it was compared with, None where there was none.
        looks: What was kept of the looks, in its JSON form.
    """
    described = _compute_candidate(candidate, policy.test_set.group_by, None)
    if baseline is not None:
        opponent = compare_sides(policy, baseline, candidate)
    elif policy.baseline:
        opponent = Opponent(absent="first promotion")
    else:
        opponent = Opponent(incomparable="no baseline is named")
    kept = looks and Looks(count=looks["count"], k=looks["k"] or 0, unknown=looks["note"] or "")
    slices = _cut(policy, candidate, opponent, baseline)
    return decide(policy, described, opponent, kept or None, slices)


def read_sealed_policy(sealed: Mapping[str, Any]) -> Policy:
    """The policy of a sealed decision, with what the command line said instead of it.

    Raises:
        PolicyError: It is no policy any more.
    """
    policy = parse_policy(sealed["text"], uri="policy", baseline=sealed["baseline"] or "")
    return with_groups(policy, sealed["group_by"] or "", sealed.get("slice_by"))


def _compute_candidate(
    referred: Referred, group_by: str, store: Callable[[], Store] | None
) -> Candidate:
    """The candidate's numbers, made anew from its evaluation by the rules of today.

    Without a store nobody asks what became of its run since.
    """
    evaluation = referred.evaluation
    compute = cache(partial(_compute, evaluation, referred.prediction_rule, group_by))
    n_alone = group_images(evaluation.images, group_by)[1] if group_by else 0

    def numbers_at(confidence: float) -> Numbers:
        return compute(confidence)[0]

    return Candidate(
        identity=identify(referred),
        numbers=numbers_at(DEFAULT_CONFIDENCE),
        numbers_at=numbers_at,
        test_images=count_test_images(evaluation),
        leakage=find_leakage(evaluation),
        is_grouped=bool(group_by) and n_alone < len(evaluation.images),
        n_alone=n_alone,
        n_images=len(evaluation.images),
        doubts=tuple(
            doubt_groups(doubt, referred, group_by)
            for doubt in _list_doubts(referred, compute(DEFAULT_CONFIDENCE)[1], store)
        ),
    )


def _cut(
    policy: Policy, candidate: Referred, opponent: Opponent, baseline: Referred | None
) -> dict[str, Portions]:
    """The versions on the slices that the policy names."""
    describe = partial(_compute_candidate, group_by=policy.test_set.group_by, store=None)
    return cut_slices(policy, candidate, opponent, baseline, describe)


def _list_doubts(
    referred: Referred, found: tuple[Doubt, ...], store: Callable[[], Store] | None
) -> Iterator[Doubt]:
    """What weakens a candidate's numbers: the doubts that were found, and what its run tells."""
    yield from (replace(doubt, side="candidate") for doubt in found)
    if referred.run is not None and store is not None:
        yield from doubt_run(referred, "candidate", Registry(store()))


def _compute(
    evaluation: Evaluation, rule: PredictionRule, group_by: str, confidence: float
) -> tuple[Numbers, tuple[Doubt, ...]]:
    """The numbers that a run of this evaluation would hold, and the doubts that show with them.

    Intervals are over the groups of `group_by`, where it names some.
    """
    names = group_images(evaluation.images, group_by)[0] if group_by else None
    metrics = compute_metrics(
        evaluation,
        prediction_rule=rule,
        confidence=confidence,
        groups=None if names is None else number_groups(names),
    )
    return collect_numbers(evaluation, metrics), list_doubts(evaluation, metrics)


def _count_looks(
    policy: Policy, referred: Referred, opponent: Opponent, store: Callable[[], Store], notes: bool
) -> Looks | None:
    """How many versions were compared so, this one now among them; None where none is compared.

    It is written down before anything is decided, so that who is told an answer has been counted.
    """
    baseline = opponent.identity
    if not policy.relative or baseline is None or say_incomparable(policy.test_set.same, opponent):
        return None
    if not baseline.run_id:
        return Looks(count=None, unknown=f"the baseline {baseline.version} is no logged run")
    name = name_look(baseline.run_id, test_set_digest(referred.evaluation))
    run = referred.run or find_logged_run(referred.evaluation, store())
    if run is None:
        place = store().get_run(baseline.run_id).experiment_id
        count = len(list_looks(store(), name, place))
        return Looks(count=count, unknown="this version is not logged, so it is not counted")
    count, k = find_look(store(), name, run)
    if k or not notes:
        unknown = "" if k else "nothing was written, so this check is not counted"
        return Looks(count=count + (not k), k=k or count + 1, unknown=unknown)
    try:
        count, k = take_look(store(), name, run)
    except TrackingError as exc:
        return Looks(count=count, unknown=f"that this version was checked cannot be kept: {exc}")
    return Looks(count=count, k=k)


def _note(
    decision: Decision, policy: Policy, referred: Referred, store: Store, *, judges: bool
) -> Decision:
    """Keep the answer where the candidate is; the answer stands when that is not allowed.

    Only one that `judges` the version becomes the status of the registered one.
    """
    try:
        content = write_json(build_decision_json(decision))
        store.write_artifact(referred.run_id, _result_path(policy), content)
        if referred.registered is not None and judges:
            tags = {VALIDATION: _VALIDATED[decision.verdict].value}
            store.set_model_version_tags(referred.registered, tags)
    except TrackingError as exc:
        warning = f"the answer could not be kept in MLflow: {exc}"
        return replace(decision, warnings=(*decision.warnings, warning))
    return decision


def _result_path(policy: Policy) -> str:
    name = _UNSAFE.sub("_", Path(policy.uri).name).strip("._") or "policy"
    return f"{CHECKS_FOLDER}/{name[:100]}.json"
