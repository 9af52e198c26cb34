"""`mlrek.read`: any VERSION -> its evaluation as people hold it in Python."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Unpack

from mlrek.api.evaluated import EvaluatedVersion, Origin, view_referred
from mlrek.api.given import (
    Place,
    PredictionOptions,
    check_share,
    check_text,
    choose,
    choose_custom,
)
from mlrek.metrics import PredictionRule
from mlrek.metrics.drawn_labels import MAX_LABELS
from mlrek.metrics.reported import DEFAULT_THRESHOLD
from mlrek.promotion import Referred, find_entry, is_logged_version, load_entry, load_version
from mlrek.sources import AwsOptions, open_predictions
from mlrek.sources.custom import CustomOptions
from mlrek.sources.entries import Source, VersionEntry
from mlrek.tracking.connection import connect_for_reading, keep_loggers
from mlrek.tracking.drawn import read_drawn
from mlrek.tracking.store import Store


def read(  # noqa: PLR0913 - each is a word of its caller
    source: Place,
    *,
    version: str | None = None,
    tracking_uri: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    skip_bad_lines: bool = False,
    prediction_rule: str | None = None,
    threshold: float = DEFAULT_THRESHOLD,
    **predictions: Unpack[PredictionOptions],
) -> EvaluatedVersion:
    """Read the evaluation that a VERSION names, and compute its numbers.

    >>> import mlrek
    >>> ev = mlrek.read("examples/digits#v2-linear")
    >>> number = ev.metrics["aggregate/accuracy"]
    >>> round(number.value, 3), round(number.low, 3), round(number.high, 3)
    (0.932, 0.912, 0.948)
    >>> ev.labels.loc["eight", ["support", "tp"]].tolist()
    [73, 60]

    Args:
        source: A VERSION: a version ARN, `SOURCE#VERSION`, `runs:/RUN_ID`, `models:/NAME/3`,
            `models:/NAME@alias`, or a SOURCE (folder, file, `s3://` prefix, ARN) that holds just
            one version. Or a file or folder of predictions of any model.
        version: The version's name, instead of `#VERSION`; of predictions: what it is called.
        tracking_uri: The MLflow store of runs and models; None: as MLflow itself has it.
        region: The AWS region; None: that of the ARN, else your own.
        profile: The AWS profile; None: `AWS_PROFILE`.
        skip_bad_lines: Leave out malformed lines of a manifest; they are counted as a doubt.
        prediction_rule: `top1`, `threshold` or `notebook`: what counts as an image's prediction;
            None: `top1`, of a run what it was logged with.
        threshold: From 0 to 1: where numbers are read that the service publishes over thresholds.
        **predictions: Of predictions: whose they are and what is true, as `mlrek sync` has it:
            `truth`, `project`, `task`, `match`, `unmatched`, `thresholds`, `label_map`,
            `attributes`.

    Raises:
        UsageError: It names no version, or more than one.
        SourceError: Its evaluation cannot be read.
        EvaluationError: Predictions and truth do not fit together.
        TrackingError: MLflow cannot be reached, or has no such run, model or alias.
    """
    text, aws = check_text("source", source), AwsOptions(region=region or "", profile=profile or "")
    rule = prediction_rule and PredictionRule(
        choose("prediction_rule", prediction_rule, PredictionRule)
    )
    custom = choose_custom("read", predictions, version or "")
    if is_logged_version(text):
        open_store = partial(connect_for_reading, tracking_uri or "")
        with keep_loggers():
            referred = _ask_drawn(load_version(text, aws, open_store), open_store)
        return view_referred(replace(referred, rule=rule or None))
    source_, entry = _find(text, version or "", custom, aws)
    origin = Origin(
        source=source_,
        entry=entry,
        state=source_.read_state(entry),
        skip_bad_lines=skip_bad_lines,
        threshold=check_share("threshold", threshold),
        aws=aws,
    )
    referred = load_entry(source_, entry, skip_bad_lines=skip_bad_lines, threshold=origin.threshold)
    return view_referred(replace(referred, rule=rule or None), origin)


def refer(name: str, version: Place | EvaluatedVersion) -> str | Referred:
    """What the other functions are given as `name`: a VERSION, or one that was read already.

    Raises:
        TypeError: It is something else.
    """
    return version.referred if isinstance(version, EvaluatedVersion) else check_text(name, version)


def _ask_drawn(referred: Referred, open_store: Callable[[], Store]) -> Referred:
    """With the labels that the matrices of its project are drawn with, if it has so many."""
    run = referred.run
    if run is None or len(referred.evaluation.labels) <= MAX_LABELS:
        return referred
    tags = open_store().get_experiment(run.experiment_id).tags
    return replace(referred, drawn_labels=read_drawn(tags, run.project_arn))


def _find(
    text: str, version: str, custom: CustomOptions | None, aws: AwsOptions
) -> tuple[Source, VersionEntry]:
    """The one version that is named; of predictions there is no other."""
    if custom is None:
        return find_entry(f"{text}#{version}" if version else text, aws)
    source = open_predictions(text, custom, aws)
    return source, source.list_versions()[0]
