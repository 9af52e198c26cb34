"""May this version be promoted? Reads the versions, compares, decides, and notes the answer."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from mlrek.comparison import Leakage, Verdict
from mlrek.errors import (
    EvaluationError,
    IncomparableError,
    ModelNotFoundError,
    PolicyError,
    TrackingError,
)
from mlrek.evaluation import Evaluation, FloatArray
from mlrek.metrics import PredictionRule
from mlrek.metrics.compute import compute_metrics
from mlrek.metrics.resampling import Bootstrap
from mlrek.policy import (
    DEFAULT_CONFIDENCE,
    Candidate,
    Decision,
    Identity,
    Metric,
    Numbers,
    Opponent,
    Policy,
    Status,
)
from mlrek.policy.deciding import decide
from mlrek.policy.numbers import count_test_images, parse_numbers
from mlrek.policy.parsing import parse_policy
from mlrek.references import MODEL_URI, RUN_URI, Referred, is_alias, load_version
from mlrek.run_content import RESAMPLES, SEED
from mlrek.same_exam import advise_exam, follow_exam
from mlrek.sources import AwsOptions
from mlrek.sources.storage import read_small_text
from mlrek.tables.decision import describe_decision
from mlrek.tables.document import describe_evaluation
from mlrek.tables.json_text import write_json
from mlrek.tracking.runs import RegisteredVersion
from mlrek.tracking.store import Store

NUMBERS_PATH = "evaluation.json"
RESULT_FOLDER = "check"
STATUS_TAG = "validation_status"
VALIDATION = {
    Status.PASSED: "approved",
    Status.FAILED: "rejected",
    Status.UNDECIDED: "undecided",
}
"""What the tag `validation_status` of a registered version says after a check."""

_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """The decision on a candidate, and how the registry names the candidate, if it was so named."""

    decision: Decision
    registered: RegisteredVersion | None = None


def read_policy(path: str) -> Policy:
    """The policy in a file.

    Raises:
        PolicyError: There is no such file, or it is no valid policy.
    """
    try:
        text = read_small_text(path)
    except OSError as exc:
        raise PolicyError(f"{path}: the policy cannot be read: {exc.strerror}") from exc
    except ValueError as exc:  # no UTF-8, endless, or no path at all
        raise PolicyError(f"{path}: the policy cannot be read: {exc}") from exc
    return parse_policy(text, uri=path)


def check_version(
    candidate: str,
    policy: Policy,
    aws: AwsOptions,
    open_store: Callable[[], Store],
    *,
    notes: bool = True,
    registered: RegisteredVersion | None = None,
) -> GateResult:
    """Decide whether a version may be promoted.

    A candidate that is a run on a test set of one's own is compared with the baseline's run on the
    same one, where there is one.

    Args:
        candidate: A VERSION as typed.
        policy: What it must fulfil; its `baseline` is a VERSION as typed too.
        aws: Region and profile.
        open_store: Called for runs and models.
        notes: Keep the answer in the candidate's run, and in the tag of a registered version.
        registered: What the candidate is registered as, where its text does not tell.

    Raises:
        UsageError: A text names no version, or more than one.
        SourceError: An evaluation cannot be read.
        TrackingError: MLflow cannot be reached or refuses.
    """
    store = cache(open_store)
    referred = load_version(candidate, aws, store)
    referred = replace(referred, registered=referred.registered or registered)
    described = _describe_candidate(referred, store)
    load = partial(load_version, aws=aws, open_store=store)
    opponent = _find_opponent(policy.baseline, referred, load, store)
    decision = decide(policy, described, opponent)
    if notes and referred.run is not None:
        decision = _note(decision, policy, referred, store())
    return GateResult(decision=decision, registered=referred.registered)


def _describe_candidate(referred: Referred, store: Callable[[], Store]) -> Candidate:
    evaluation = referred.evaluation
    compute = cache(partial(_compute_numbers, evaluation, referred.prediction_rule))
    if referred.run is None:
        numbers = compute(DEFAULT_CONFIDENCE)
    else:
        content = store().read_artifact(referred.run_id, NUMBERS_PATH)
        numbers = _parse_document(content, f"runs:/{referred.run_id}/{NUMBERS_PATH}")

    def numbers_at(confidence: float) -> Numbers:
        return numbers if confidence == DEFAULT_CONFIDENCE else compute(confidence)

    return Candidate(
        identity=_identify(referred),
        numbers=numbers,
        numbers_at=numbers_at,
        test_images=count_test_images(evaluation),
        leakage=_find_leakage(evaluation),
        resample=cache(partial(_resample, evaluation, referred.prediction_rule)),
    )


def _parse_document(content: bytes, uri: str) -> Numbers:
    try:
        document = json.loads(content)
    except ValueError as exc:
        raise EvaluationError(f"{uri}: no valid JSON: {exc}") from exc
    return parse_numbers(document, uri=uri)


def _compute_numbers(evaluation: Evaluation, rule: PredictionRule, confidence: float) -> Numbers:
    """The numbers that a run of this evaluation would hold, with intervals at a confidence."""
    metrics = compute_metrics(
        evaluation,
        prediction_rule=rule,
        seed=SEED,
        resamples=RESAMPLES,
        confidence=confidence,
    )
    document = describe_evaluation(
        evaluation, metrics, test_set_digest="", settings={}, warnings=()
    )
    return parse_numbers(document)


def _resample(evaluation: Evaluation, rule: PredictionRule) -> dict[Metric, FloatArray]:
    """Values in the resamples that a run's intervals are of, by the names of policies."""
    from mlrek.comparison.resampled_numbers import resample_numbers

    values = resample_numbers(evaluation, rule, Bootstrap(seed=SEED, resamples=RESAMPLES))
    return {Metric(name=name, label=label): column for (name, label), column in values.items()}


def _find_opponent(
    baseline: str,
    candidate: Referred,
    load: Callable[[str], Referred],
    open_store: Callable[[], Store],
) -> Opponent:
    """What the candidate is compared with, or why it is not.

    Only an alias may be missing: one that nobody has set yet is how every project begins, while a
    version that is named by its number was there once.
    """
    if not baseline:
        return Opponent(absent="the policy names no baseline")
    try:
        referred = load(baseline)
    except ModelNotFoundError:
        if not is_alias(baseline):
            raise
        if other := _find_other_model(baseline, candidate):
            return Opponent(
                incomparable=(
                    f"the registry has no {baseline}, while the candidate is a version of "
                    f"models:/{other}: name the baseline of that model, or promote a first one"
                )
            )
        return Opponent(absent=f"{baseline} does not exist yet")
    identity = _identify(referred)
    if _is_same(candidate, referred):
        reason = (
            f"the baseline {baseline} is the candidate itself ({identity.version}): check another "
            "version, or name another baseline with --baseline"
        )
        return Opponent(identity=identity, incomparable=reason)
    return _compare_on_one_exam(baseline, referred, candidate, open_store)


def _compare_on_one_exam(
    baseline: str, referred: Referred, candidate: Referred, open_store: Callable[[], Store]
) -> Opponent:
    """The comparison on the candidate's test images where the baseline has a run on them."""
    if candidate.run is None:
        return _compare(referred, candidate)
    if not RUN_URI.fullmatch(baseline):  # a run that was named is the one that is meant
        referred = follow_exam(referred, candidate.run, open_store())
    opponent = _compare(referred, candidate)
    if opponent.comparison is None or opponent.comparison.test_sets.verdict is Verdict.SAME:
        return opponent
    advice = advise_exam(baseline, referred, candidate.run, open_store())
    return replace(opponent, advice=advice)


def _find_other_model(baseline: str, candidate: Referred) -> str:
    """The candidate's registered model, where the missing baseline is an alias of another one."""
    model = MODEL_URI.fullmatch(baseline)
    if candidate.registered is None or model is None or model["name"] == candidate.registered.name:
        return ""
    return candidate.registered.name


def _is_same(candidate: Referred, baseline: Referred) -> bool:
    ours, theirs = candidate.evaluation.version.arn, baseline.evaluation.version.arn
    is_same_run = bool(candidate.run_id) and candidate.run_id == baseline.run_id
    return is_same_run or (bool(ours) and ours == theirs)


def _compare(baseline: Referred, candidate: Referred) -> Opponent:
    from mlrek.comparison.compare import Side, compare_versions

    opponent = Opponent(identity=_identify(baseline))
    try:
        comparison = compare_versions(
            Side(evaluation=baseline.evaluation, rule=baseline.prediction_rule),
            Side(evaluation=candidate.evaluation, rule=candidate.prediction_rule),
        )
    except (EvaluationError, IncomparableError) as exc:
        return replace(opponent, incomparable=str(exc))
    shared = frozenset(baseline.evaluation.images)
    return replace(
        opponent,
        comparison=comparison,
        shared_images=count_test_images(candidate.evaluation, shared),
    )


def _identify(referred: Referred) -> Identity:
    version = referred.evaluation.version
    return Identity(version=version.name, version_arn=version.arn, run_id=referred.run_id)


def _find_leakage(evaluation: Evaluation) -> Leakage:
    seen = evaluation.seen_in_training
    if seen is None:
        return Leakage(known=False)
    images = (image for image, was_seen in zip(evaluation.images, seen, strict=True) if was_seen)
    return Leakage(known=True, images=tuple(dict.fromkeys(images)))


def _note(decision: Decision, policy: Policy, referred: Referred, store: Store) -> Decision:
    """Keep the answer where the candidate is; the answer stands when that is not allowed."""
    try:
        content = write_json(describe_decision(decision))
        store.write_artifact(referred.run_id, _result_path(policy), content)
        if referred.registered is not None:
            tags = {STATUS_TAG: VALIDATION[decision.verdict]}
            store.set_model_version_tags(referred.registered, tags)
    except TrackingError as exc:
        warning = f"the answer could not be kept in MLflow: {exc}"
        return replace(decision, warnings=(*decision.warnings, warning))
    return decision


def _result_path(policy: Policy) -> str:
    name = _UNSAFE.sub("_", Path(policy.uri).name).strip("._") or "policy"
    return f"{RESULT_FOLDER}/{name[:100]}.json"
