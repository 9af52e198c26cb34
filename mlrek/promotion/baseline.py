"""What a candidate is compared with: the baseline as named, or why there is nothing to compare."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches

import numpy as np

from mlrek.comparison import Comparison, Verdict
from mlrek.comparison.pairing import Pairing, group_images, pair_images
from mlrek.errors import (
    EvaluationError,
    IncomparableError,
    ModelNotFoundError,
    RunNotFoundError,
    SourceNotFoundError,
    TrackingError,
)
from mlrek.evaluation import Doubt, DoubtKind, Effect, Evaluation, IntArray, Side
from mlrek.formats.predictions.of_version import has_same_predictions, may_be_replaced
from mlrek.metrics.compute import compute_numbers
from mlrek.metrics.grouped import are_independent
from mlrek.metrics.test_set import digest_test_set, take_images
from mlrek.policy import Opponent, Policy, SameTestSet, TestSetPolicy, VersionIdentity
from mlrek.policy.reading import count_test_images
from mlrek.promotion import MODEL_URI, RUN_URI, Referred, load_given, read_run
from mlrek.registry.door import (
    SUPERSEDED,
    VALIDATION,
    ModelVersion,
    Registry,
    ValidationStatus,
    current_version,
    find_version_of_run,
)
from mlrek.registry.moving import PREVIOUS, PROMOTED
from mlrek.sources import AwsOptions
from mlrek.tracking import OWN_TEST_SET_TAG, LoggedRun, current_run
from mlrek.tracking.store import Store

MAX_NAMES = 5
CHECKS_FOLDER = "check"
"""Where a check keeps its answers in a candidate's run."""


def find_opponent(
    policy: Policy,
    candidate: Referred,
    alias: str,
    aws: AwsOptions,
    open_store: Callable[[], Store],
    *,
    read: Referred | None = None,
) -> tuple[Opponent, Referred | None]:
    """What the candidate is compared with, or why it is not; and the version that this is.

    `read` is the policy's baseline where it was read already.
    Only the alias that is to be moved may be missing, and only before the first promotion.

    Raises:
        SourceError: The baseline is there, but cannot be read.
        TrackingError: MLflow cannot be reached or refuses.
    """
    baseline = policy.baseline
    if not baseline:
        return Opponent(incomparable="no baseline is named"), None
    try:
        referred = load_given(read or baseline, aws, open_store)
    except ModelNotFoundError:
        return explain_absence(baseline, candidate, alias, Registry(open_store())), None
    except (SourceNotFoundError, RunNotFoundError) as exc:
        return Opponent(missing=f"there is no baseline {baseline}: {exc}"), None
    if referred.run is not None and not referred.run.is_logged:
        return Opponent(missing=say_incomplete(referred.run_id)), None
    return _oppose(policy, referred, candidate, open_store)


def identify(referred: Referred) -> VersionIdentity:
    """A version as decisions name it."""
    version, registered = referred.evaluation.version, referred.registered
    return VersionIdentity(
        version=version.name,
        version_arn=version.arn,
        run_id=referred.run_id,
        model=registered.name if registered else "",
        number=int(registered.version) if registered else None,
        evaluation_sha256=referred.sha256,
        test_set_sha256=digest_test_set(referred.evaluation),
    )


def say_incomplete(run_id: str) -> str:
    """Why a run that was not logged to its end is not read."""
    return (
        f"the run {run_id} is not complete, so it counts for nothing: its logging was interrupted "
        "or is still under way; `mlrek sync SOURCE` logs its version"
    )


def doubt_run(referred: Referred, side: Side, registry: Registry) -> Iterator[Doubt]:
    """That the evaluation of a run was replaced since.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    if not is_superseded(referred, registry):
        return
    run, name = referred.run, referred.evaluation.version.name
    text = (
        f"the run {referred.run_id} is no longer the newest of {name}: its evaluation was replaced "
        "since"
    )
    if run is not None and run.own_test_set and not run.is_superseded:
        text = (
            f"the run {referred.run_id} is of predictions of {name} that were replaced since: "
            "evaluate it again"
        )
    yield Doubt(kind=DoubtKind.SUPERSEDED, side=side, text=text)


def doubt_groups(doubt: Doubt, referred: Referred, group_by: str) -> Doubt:
    """The doubt `grouped` with an effect of its own where groups do not answer it; others as is."""
    evaluation = referred.evaluation
    if doubt.kind is not DoubtKind.GROUPED or not group_by:
        return doubt
    groups, _ = group_images(evaluation.images, group_by)
    if are_independent(evaluation, compute_numbers(evaluation, referred.prediction_rule), groups):
        return doubt
    return replace(
        doubt,
        own_effect=Effect.STOPS_INTERVALS,
        text=f"{doubt.text}; group_by = {group_by!r} leaves images apart that go together",
    )


def compare_sides(policy: Policy, baseline: Referred, candidate: Referred) -> Opponent:
    """The comparison with a baseline that was read, from the evaluations alone."""
    opponent = _compare(baseline, candidate, policy.test_set)
    comparison = opponent.comparison
    if comparison is None:
        return opponent
    doubts = tuple(
        doubt_groups(
            doubt,
            candidate if doubt.side == "candidate" else baseline,
            policy.test_set.group_by,
        )
        for doubt in comparison.doubts
    )
    return replace(opponent, comparison=replace(comparison, doubts=doubts))


def _oppose(
    policy: Policy, referred: Referred, candidate: Referred, open_store: Callable[[], Store]
) -> tuple[Opponent, Referred | None]:
    """The comparison with a baseline, on the candidate's test set where the baseline was, too."""
    baseline = policy.baseline
    if _is_same(candidate, referred):
        identity = identify(referred)
        reason = (
            f"the baseline {baseline} is the candidate itself ({identity.version}): check "
            "another version, or name another baseline with --baseline"
        )
        return Opponent(identity=identity, incomparable=reason), None
    if candidate.run is not None and not RUN_URI.fullmatch(baseline):
        # a run that was named is the one that is meant
        referred = follow_test_set(referred, candidate.run, open_store())
    opponent = compare_sides(policy, referred, candidate)
    comparison = opponent.comparison
    if comparison is None:
        return opponent, None
    if referred.run is not None:
        doubts = (*comparison.doubts, *doubt_run(referred, "baseline", Registry(open_store())))
        opponent = replace(opponent, comparison=replace(comparison, doubts=doubts))
    if candidate.run is None or comparison.test_sets.verdict is Verdict.SAME:
        return opponent, referred
    advice = advise_test_set(baseline, referred, candidate, open_store())
    return replace(opponent, advice=advice), referred


def _is_same(candidate: Referred, baseline: Referred) -> bool:
    ours, theirs = candidate.evaluation.version.arn, baseline.evaluation.version.arn
    is_same_run = bool(candidate.run_id) and candidate.run_id == baseline.run_id
    return is_same_run or (bool(ours) and ours == theirs)


def _compare(baseline: Referred, candidate: Referred, asked: TestSetPolicy) -> Opponent:
    opponent = Opponent(identity=identify(baseline))
    pairing = pair_images(baseline.evaluation, candidate.evaluation)
    try:
        comparison = _compare_by_one_truth((baseline, candidate), pairing, asked)
    except (EvaluationError, IncomparableError) as exc:
        return replace(opponent, incomparable=str(exc))
    alike = ~pairing.relabelled
    shared = frozenset(np.array(pairing.images, dtype=object)[alike].tolist())
    return replace(
        _count_alone(opponent, (baseline.evaluation, candidate.evaluation), pairing, asked),
        comparison=comparison,
        shared_images=count_test_images(candidate.evaluation, shared),
        gone=_list_gone(baseline.evaluation, candidate.evaluation),
        differs_in_thresholds=_differ_in_thresholds_alone(
            baseline.evaluation, candidate.evaluation
        ),
    )


def _list_gone(baseline: Evaluation, candidate: Evaluation) -> dict[str, int]:
    """The labels that the baseline alone was tested on, with its images of each."""
    theirs, ours = (count_test_images(one).per_label or {} for one in (baseline, candidate))
    return {label: n for label, n in theirs.items() if n and not ours.get(label)}


def _count_alone(
    opponent: Opponent,
    versions: tuple[Evaluation, Evaluation],
    pairing: Pairing,
    asked: TestSetPolicy,
) -> Opponent:
    """The opponent with what the grouping of a policy finds in the images that are compared."""
    if not asked.group_by:
        return opponent
    if pairing.is_exact or asked.same is not SameTestSet.ANY:
        n_alone = group_images(pairing.images, asked.group_by)[1]
        return replace(opponent, is_ungrouped=n_alone == len(pairing.images))
    alone = [group_images(version.images, asked.group_by)[1] for version in versions]
    is_ungrouped = any(n == len(version.images) for n, version in zip(alone, versions, strict=True))
    return replace(opponent, is_ungrouped=is_ungrouped, n_alone=alone[0])


def _compare_by_one_truth(
    versions: tuple[Referred, Referred], pairing: Pairing, asked: TestSetPolicy
) -> Comparison:
    """The comparison; whole test sets without the shared images whose truth was changed.

    Else a truth that was edited to the candidate's answers would make it a better version.
    """
    comparison = _compare_evaluations(versions, asked)
    if asked.same is not SameTestSet.ANY or not pairing.relabelled.any():
        return comparison
    changed = pairing.baseline_idx, pairing.candidate_idx
    kept = [
        replace(one, evaluation=_drop(one.evaluation, places[pairing.relabelled]))
        for one, places in zip(versions, changed, strict=True)
    ]
    return replace(
        comparison, differences=_compare_evaluations((kept[0], kept[1]), asked).differences
    )


def _compare_evaluations(versions: tuple[Referred, Referred], asked: TestSetPolicy) -> Comparison:
    from mlrek.comparison import compare

    baseline, candidate = (
        compare.Side(evaluation=one.evaluation, rule=one.prediction_rule) for one in versions
    )
    settings = compare.CompareSettings(group_by=asked.group_by)
    return compare.compare_versions(baseline, candidate, settings)


def _drop(evaluation: Evaluation, image_idx: IntArray) -> Evaluation:
    """The evaluation without some images; what the provider says is of all of them."""
    return take_images(evaluation, np.delete(np.arange(len(evaluation.images)), image_idx))


def _differ_in_thresholds_alone(baseline: Evaluation, candidate: Evaluation) -> bool:
    """Whether two versions have the same confidences on the same images, but other thresholds."""
    if baseline.labels != candidate.labels or set(baseline.images) != set(candidate.images):
        return False
    if not len(candidate.records.label_idx):  # boxes and masks have other columns
        return False
    if np.array_equal(baseline.thresholds, candidate.thresholds, equal_nan=True):
        return False
    first, second = (
        take_images(one, np.argsort(np.array(one.images, dtype=object))).records
        for one in (baseline, candidate)
    )
    return all(
        np.array_equal(getattr(first, column), getattr(second, column))
        for column in ("offsets", "label_idx", "confidence")
    )


# ---- your own test sets --------------------------------------------------------------------


def is_of(own: Referred, version: Referred) -> bool:
    """Whether a run on your own test set was made of the predictions that a version has now.

    One that keeps no digests of them was if it is the newer one; else nothing tells, so it was not.
    """
    if not may_be_replaced(own.evaluation):
        return True
    is_same = has_same_predictions(own.evaluation, version.evaluation)
    if is_same is not None:
        return is_same
    if own.run is None or version.run is None or not version.run.logged_at:
        return False
    return own.run.logged_at >= version.run.logged_at


def is_of_run(own: Referred, run_id: str, store: Store) -> bool:
    """The same where the version's run is named: one that is gone tells nothing.

    Raises:
        EvaluationError: The run's file is not what it should be.
        TrackingError: MLflow cannot be reached or refuses.
    """
    if not may_be_replaced(own.evaluation):
        return True
    try:
        return bool(run_id) and is_of(own, read_run(store.get_run(run_id), store))
    except RunNotFoundError:
        return False


def is_replaced(own: Referred, store: Store) -> bool:
    """Whether the version of a run on your own test set has other predictions by now.

    Raises:
        EvaluationError: The file of the version's run is not what it should be.
        TrackingError: MLflow cannot be reached or refuses.
    """
    if own.run is None or not may_be_replaced(own.evaluation):
        return False
    counting = store.find_counting_run(own.run)
    return counting is not None and not is_of(own, read_run(counting, store))


def follow_test_set(baseline: Referred, candidate: LoggedRun, store: Store) -> Referred:
    """The baseline's run on the candidate's own test set, else the baseline as it is."""
    if not candidate.own_test_set:
        return baseline
    alike = store.list_runs(candidate.experiment_id, {OWN_TEST_SET_TAG: candidate.own_test_set})
    run = _find_run(alike, baseline.evaluation.version.arn)
    if run is None:
        return baseline
    found = read_run(run, store)
    if not is_of(found, baseline):
        return baseline
    return replace(baseline, evaluation=found.evaluation, run=run, sha256=found.sha256)


def advise_test_set(baseline: str, referred: Referred, candidate: Referred, store: Store) -> str:
    """How a candidate and a baseline of other test images compare, '' where nothing is known."""
    if candidate.run is None:
        return ""
    if candidate.run.own_test_set:
        return (
            f"evaluate the baseline on {candidate.run.own_test_set_name!r}, too "
            f"(mlrek evaluate {baseline} --on MANIFEST)"
        )
    run = _find_common(referred.evaluation.version.arn, candidate.run, store)
    if run is None or not is_of(read_run(run, store), candidate):
        return ""
    name = run.own_test_set_name
    return f"both were tested on {name!r} as well: check runs:/{run.run_id} instead"


def _find_common(baseline_arn: str, candidate: LoggedRun, store: Store) -> LoggedRun | None:
    """The candidate's newest run on an own test set that the baseline was tested on, too."""
    runs = store.list_own_test_set_runs(candidate.experiment_id)
    own = [run for run in runs if run.is_complete and run.version_arn == baseline_arn]
    test_sets = {run.own_test_set for run in own}
    return _find_run((run for run in runs if run.own_test_set in test_sets), candidate.version_arn)


def _find_run(runs: Iterable[LoggedRun], version_arn: str) -> LoggedRun | None:
    return current_run(run for run in runs if run.version_arn == version_arn and version_arn)


# ---- champions and first promotions ---------------------------------------------------------


def is_champion(
    candidate: Referred, baseline: str, alias: str, registry: Registry, *, moves: str = ""
) -> bool:
    """Whether a candidate has an alias already: of the model that it would be moved in.

    That is `moves`, where a promotion has chosen it, else the baseline's. Where neither is known
    the candidate must have it in each model that it is in.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    names = [moves] if moves else _list_models(candidate, baseline, registry)
    return bool(names) and all(_bears(name, candidate, alias, registry) for name in names)


def explain_absence(baseline: str, candidate: Referred, alias: str, registry: Registry) -> Opponent:
    """Why `models:/NAME/3` or `models:/NAME@alias` is not there, with the nearest that are.

    It is `absent` before the first promotion, when there need be none, else `missing`.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    model = MODEL_URI.fullmatch(baseline)
    name, wanted = (model["name"], model["alias"] or "") if model else ("", "")
    if wanted == alias and (begun := _find_begun(name, candidate, alias, registry)):
        return Opponent(missing=_say_begun(baseline, candidate, alias, begun))
    if not registry.has_model(name):
        if wanted != alias or not _begins_here(name, candidate, registry):
            return Opponent(missing=_say_no_model(baseline, candidate, alias, registry))
        reason = f"first promotion: the registry has no model {name!r} yet, so no {baseline}"
        return Opponent(absent=reason)
    if not _is_model_of(candidate, name, registry):
        return Opponent(missing=_say_other_model(baseline, name, candidate))
    return _explain_name(baseline, candidate, alias, registry)


def _explain_name(baseline: str, candidate: Referred, alias: str, registry: Registry) -> Opponent:
    """The same where the candidate's model is there."""
    model = MODEL_URI.fullmatch(baseline)
    name, wanted = (model["name"], model["alias"] or "") if model else ("", "")
    aliases = registry.get_aliases(name)
    if wanted != alias:
        numbers = [version.number for version in registry.list_versions(name)]
        return Opponent(missing=_say_no_name(baseline, aliases, numbers, alias))
    if trace := _find_promotion(name, alias, candidate, registry):
        return Opponent(
            missing=f"{baseline} is not set now, but {trace}, so this is no first promotion: set "
            "the alias again, or name another baseline with --baseline",
        )
    others = ", ".join(f"models:/{name}@{other}" for other in sorted(aliases))
    return Opponent(
        absent=f"first promotion: {baseline} does not exist yet"
        + (f" (there are: {others})" if others else ""),
    )


def is_superseded(version: Referred, registry: Registry) -> bool:
    """Whether a version's run is no longer the one that counts of it.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    run = version.run
    if run is None:
        return False
    if run.tags.get(SUPERSEDED) == "true":
        return True
    if not run.version_arn:
        return False
    if run.own_test_set:
        return is_replaced(version, registry.store)
    counting = registry.store.find_counting_run(run)
    return counting is not None and counting.run_id != run.run_id


def _list_models(candidate: Referred, baseline: str, registry: Registry) -> list[str]:
    """The registered models whose alias the candidate may have: of several, none is meant."""
    if model := MODEL_URI.fullmatch(baseline):
        return [model["name"]]
    if candidate.registered is not None:
        return [candidate.registered.name]
    arn = candidate.evaluation.version.arn
    with contextlib.suppress(TrackingError):  # a store without a registry has no champion
        found = registry.find_versions(arn) if arn else ()
        return list(dict.fromkeys(version.name for version in found))
    return []


def _bears(name: str, candidate: Referred, alias: str, registry: Registry) -> bool:
    try:
        number = registry.get_aliases(name).get(alias)
    except ModelNotFoundError:
        return False
    if number is None:
        return False
    own = candidate.registered
    if own is not None and own.name == name:
        return int(own.version) == number or _is_run(name, number, own.run_id, registry)
    versions = registry.list_versions(name)
    run = candidate.run
    is_own = run is not None and bool(run.own_test_set)  # stands for its version as a whole
    if is_own:
        found = current_version(versions, candidate.evaluation.version.arn)
    else:
        found = find_version_of_run(versions, candidate.run_id)
    if found is None:
        return False
    has_alias = found.number == number or _is_run(name, number, found.run_id, registry)
    return has_alias and (not is_own or is_of_run(candidate, found.run_id, registry.store))


def _is_run(name: str, number: int, run_id: str, registry: Registry) -> bool:
    return bool(run_id) and registry.get_version(name, number).run_id == run_id


def _is_model_of(candidate: Referred, name: str, registry: Registry) -> bool:
    """Whether a registered model is the candidate's, as far as anything tells."""
    if candidate.registered is not None:
        return candidate.registered.name == name
    owner = registry.get_model_tags(name).get("project_arn", "")
    return not owner or owner == candidate.evaluation.version.project.arn


def _begins_here(name: str, candidate: Referred, registry: Registry) -> bool:
    """Whether a model that is not there may be the candidate's first one.

    The store must know the candidate's project, else its address is a slip; the version must not
    be another model's, and no model may have a name that is nearly the same.
    """
    version = candidate.evaluation.version
    if candidate.registered is not None or registry.find_versions(version.arn):
        return False
    is_known = registry.store.find_experiment(version.project) is not None
    return is_known and not get_close_matches(name, registry.list_names())


def _find_begun(name: str, candidate: Referred, alias: str, registry: Registry) -> list[str]:
    """Other models in which the candidate's project was promoted; none where it is one of `name`.

    A project may have several models, each with a first promotion of its own.
    """
    version = candidate.evaluation.version
    if candidate.registered is not None:
        return []
    own = registry.find_versions(version.arn) if version.arn else ()
    if any(found.name == name for found in own):
        return []
    models = registry.find_project_models(version.project, alias)
    others = dict.fromkeys((*models, *(found.name for found in own)))
    return [
        other
        for other in others
        if other != name
        and (
            alias in registry.get_aliases(other)
            or _find_promotion(other, alias, candidate, registry)
        )
    ]


def _find_promotion(name: str, alias: str, candidate: Referred, registry: Registry) -> str:
    """What tells that somebody was promoted before, '' where nothing does."""
    tags = registry.get_model_tags(name)
    for tag in (PROMOTED + alias, PREVIOUS + alias):
        if tag in tags:
            return f"models:/{name} has the tag {tag}"
    own = candidate.registered
    for version in registry.list_versions(name):
        is_own = own is not None and int(own.version) == version.number
        if not is_own and _was_promoted(version, alias, registry):
            return f"version {version.number} was approved by more than a check"
    return ""


def _was_promoted(version: ModelVersion, alias: str, registry: Registry) -> bool:
    """Whether a version has an approval that was not left by a check alone."""
    if version.tags.get(VALIDATION) != ValidationStatus.APPROVED:
        return False
    is_checked = bool(version.run_id) and registry.store.has_artifacts(
        version.run_id, CHECKS_FOLDER
    )
    return PREVIOUS + alias in version.tags or not is_checked


def _say_no_model(baseline: str, candidate: Referred, alias: str, registry: Registry) -> str:
    model = MODEL_URI.fullmatch(baseline)
    name = model["name"] if model else baseline
    if candidate.registered is not None:
        own = candidate.registered.name
        return (
            f"the registry has no {baseline}, while the candidate is a version of models:/{own}: "
            f"name the baseline of that model{_mean(f'models:/{own}@{alias}')}"
        )
    close = get_close_matches(name, registry.list_names(), n=MAX_NAMES)
    meant = _mean(*(f"models:/{other}@{alias}" for other in close))
    advice = "; register versions with mlrek sync SOURCE --register, or check --tracking-uri"
    place = registry.place
    return f"the registry at {place} has no model {name!r}, so no {baseline}{meant or advice}"


def _say_begun(baseline: str, candidate: Referred, alias: str, models: Sequence[str]) -> str:
    meant = [f"models:/{model}@{alias}" for model in models[:MAX_NAMES]]
    name, known = candidate.evaluation.version.project.name, " and ".join(meant)
    return (
        f"the registry has no {baseline}, and {name} was promoted as {known} already, so this "
        f"is no first promotion{_mean(*meant)}"
    )


def _say_other_model(baseline: str, name: str, candidate: Referred) -> str:
    if candidate.registered is not None:
        own = candidate.registered.name
        return (
            f"the registry has no {baseline}, while the candidate is a version of models:/{own}: "
            "name the baseline of that model, or promote a first one"
        )
    return (
        f"the registry has no {baseline}, and models:/{name} is the model of another project than "
        f"{candidate.evaluation.version.project.name}: name the baseline of that project's model"
    )


def _say_no_name(baseline: str, aliases: Iterable[str], numbers: Sequence[int], alias: str) -> str:
    """That an alias or a number is not there; the nearest aliases first, then all others."""
    model = baseline.rpartition("@" if "@" in baseline else "/")[0]
    wanted = baseline.removeprefix(model)[1:]
    known = sorted(aliases)
    close = get_close_matches(wanted, known, n=MAX_NAMES, cutoff=0.5)
    named = [f"{model}@{other}" for other in dict.fromkeys((*close, *known))]
    named += [f"{model}/{number}" for number in numbers[::-1]] if wanted.isdigit() else []
    reason = f"the registry has no {baseline}{_mean(*named[:MAX_NAMES])}"
    if "@" in baseline and alias not in known:
        reason += f"; if it is the alias that is to be moved, say so with --alias {wanted}"
    return reason


def _mean(*names: str) -> str:
    return f"; did you mean {' or '.join(names)}?" if names else ""
