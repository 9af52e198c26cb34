"""What an alias stands for, as the gate asks it: the champion, a first promotion, or a slip."""

import contextlib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from mlrek.errors import ModelNotFoundError, TrackingError
from mlrek.policy import Opponent
from mlrek.references import MODEL_URI, Referred
from mlrek.registry.door import Registry
from mlrek.registry.moving import PREVIOUS, PROMOTED
from mlrek.registry.versions import (
    SUPERSEDED,
    VALIDATION,
    ModelVersion,
    ValidationStatus,
    current_version,
    find_version_of_run,
)

MAX_NAMES = 5
CHECKS_FOLDER = "check"
"""Where a check keeps its answers in a candidate's run."""


def is_champion(candidate: Referred, baseline: str, alias: str, registry: Registry) -> bool:
    """Whether a candidate bears an alias already, of its model or of the baseline's.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    names = _list_models(candidate, baseline, registry)
    return any(_bears(name, candidate, alias, registry) for name in names)


def explain_absence(baseline: str, candidate: Referred, alias: str, registry: Registry) -> Opponent:
    """Why `models:/NAME/3` or `models:/NAME@alias` is not there, with the nearest that are.

    It is `absent` before the first promotion, when there need be none, else `missing`.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    model = MODEL_URI.fullmatch(baseline)
    name, wanted = (model["name"], model["alias"] or "") if model else ("", "")
    if not registry.has_model(name):
        if wanted == alias and _begins_here(name, candidate, registry):
            reason = f"first promotion: the registry has no model {name!r} yet, so no {baseline}"
            return Opponent(absent=reason)
        return Opponent(missing=_say_no_model(baseline, candidate, alias, registry))
    aliases = registry.get_aliases(name)
    if not _is_model_of(candidate, name, registry):
        return Opponent(missing=_say_other_model(baseline, name, candidate))
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
    if run.own_test_set or not run.version_arn:
        return False
    counting = registry.store.find_counting_run(run)
    return counting is not None and counting.run_id != run.run_id


def _list_models(candidate: Referred, baseline: str, registry: Registry) -> list[str]:
    """The registered models whose alias the candidate may bear."""
    if candidate.registered is not None:
        return [candidate.registered.name]
    model = MODEL_URI.fullmatch(baseline)
    named = [model["name"]] if model else []
    arn = candidate.evaluation.version.arn
    with contextlib.suppress(TrackingError):  # a store without a registry has no champion
        named += [version.name for version in registry.find_versions(arn)] if arn else []
    return list(dict.fromkeys(named))


def _bears(name: str, candidate: Referred, alias: str, registry: Registry) -> bool:
    try:
        number = registry.get_aliases(name).get(alias)
    except ModelNotFoundError:
        return False
    if number is None:
        return False
    if candidate.registered is not None:
        own = candidate.registered
        return int(own.version) == number or _is_run(name, number, own.run_id, registry)
    versions = registry.list_versions(name)
    run = candidate.run
    if run is not None and run.own_test_set:  # stands for its version as a whole
        found = current_version(versions, candidate.evaluation.version.arn)
    else:
        found = find_version_of_run(versions, candidate.run_id)
    return found is not None and (
        found.number == number or _is_run(name, number, found.run_id, registry)
    )


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


def _find_promotion(name: str, alias: str, candidate: Referred, registry: Registry) -> str:
    """What tells that somebody was promoted before, '' where nothing does."""
    tags = registry.get_model_tags(name)
    for tag in (PROMOTED + alias, PREVIOUS + alias):
        if tag in tags:
            return f"models:/{name} bears the tag {tag}"
    own = candidate.registered
    for version in registry.list_versions(name):
        is_own = own is not None and int(own.version) == version.number
        if not is_own and _was_promoted(version, alias, registry):
            return f"version {version.number} was approved by more than a check"
    return ""


def _was_promoted(version: ModelVersion, alias: str, registry: Registry) -> bool:
    """Whether a version bears an approval that was not left by a check alone."""
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
