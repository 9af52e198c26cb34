"""What a run holds, as plain data."""

import json
from dataclasses import replace

import numpy as np
from mlflow.utils.validation import _validate_metric_name

from mlrek.evaluation import Doubt, DoubtKind, Reported, ReportedCurve, SliceColumn
from mlrek.metrics import Number
from mlrek.metrics.slices import SliceReport, SliceRow
from mlrek.render.doubts import list_warnings
from mlrek.tracking import MAX_TAG
from mlrek.tracking.description import (
    MAX_METRIC_KEYS,
    Identity,
    Options,
    compute_evaluation_key,
    describe_dataset,
    describe_metrics,
    describe_params,
    describe_state,
    describe_tags,
)
from mlrek.tracking.notes import render_note


def tags_of(evaluation, metrics):
    """The tags with fixed key, state and time."""
    identity = Identity(key="k", state="s", test_set_digest="d" * 32, logged_at="2026-01-01")
    return describe_tags(evaluation, metrics, identity)


def test_metrics_stand_under_their_contract_keys(make_evaluation, make_metrics):
    """Computed, reported, interval, training and evaluator's numbers have their own prefixes."""
    points = {p.key: p.value for p in describe_metrics(make_evaluation(), make_metrics())}

    assert points["aggregate/accuracy"] == 0.5
    assert points["reported/f1"] == 0.75
    assert (points["interval/accuracy_low"], points["interval/accuracy_high"]) == (0.1, 0.9)
    assert points["training/billable_minutes"] == 31.65
    assert points["label_f1/a"] == 0.5
    assert (points["accuracy_score"], points["f1_score"], points["example_count"]) == (0.5, 0.55, 2)


def test_an_undefined_number_is_left_out_and_named_with_its_reason(make_evaluation, make_metrics):
    """NaN is never logged; the warnings say which number is missing and why."""
    keys = {p.key for p in describe_metrics(make_evaluation(), make_metrics())}
    warnings = list_warnings(make_evaluation(), make_metrics())

    assert "aggregate/mcc" not in keys
    assert "not logged: aggregate/mcc: only one label was predicted" in warnings
    assert "no interval for recall_weighted: no resample differs" in warnings


def test_curves_leave_out_undefined_points(make_evaluation, make_metrics):
    """Nothing is predicted from 0.50 on, so precision ends at step 49; recall goes on with 0."""
    points = describe_metrics(make_evaluation(), make_metrics())
    precision = [p for p in points if p.key == "curve/precision"]
    recall = [p for p in points if p.key == "curve/recall"]

    assert [p.step for p in precision] == list(range(50))
    assert [p.value for p in recall] == [1.0] * 50 + [0.0] * 51


def test_many_labels_keep_a_run_within_the_limit(make_evaluation, make_metrics):
    """Past 50 labels only label_f1 is logged; past the limit the most frequent labels stay."""
    labels = tuple(f"label {i}" for i in range(1000))
    metrics = make_metrics(labels)
    support = np.arange(1000)
    metrics = replace(metrics, per_label=replace(metrics.per_label, support=support))
    keys = {p.key for p in describe_metrics(make_evaluation(labels), metrics)}

    assert len(keys) == MAX_METRIC_KEYS
    assert not any(key.startswith("label_precision/") for key in keys)
    assert "label_f1/label 999" in keys
    assert "label_f1/label 0" not in keys


def test_every_key_is_one_that_mlflow_takes(make_evaluation, make_metrics):
    """Label names of any kind become valid metric keys."""
    labels = ("a/b", "..", " ", "50%", "\N{ROSE}", "x" * 256, "tab\t", "naïve", "数字", "<b>")
    for point in describe_metrics(make_evaluation(labels), make_metrics(labels)):
        _validate_metric_name(point.key)


def test_tags_identify_the_version_and_leave_completeness_to_the_writer(
    make_evaluation, make_metrics
):
    """ARNs are tags; `mlrek.complete` is not among them."""
    tags = tags_of(make_evaluation(), make_metrics())

    assert tags["project_arn"].endswith("project/digits/1690474772815")
    assert tags["version_arn"].endswith("version/v1/1690556751958")
    assert (tags["provider"], tags["task"], tags["version_status"]) == (
        "rekognition",
        "classification",
        "STOPPED",
    )
    assert len(tags["test_set_digest"]) == 32
    assert "mlrek.complete" not in tags
    assert "source_version_arn" not in tags


def test_note_escapes_names_from_outside(make_evaluation, make_metrics):
    """A warning that quotes a hostile label is text, not markdown."""
    note = render_note(make_evaluation(), make_metrics(), ["label <b>*x*</b>|"])

    assert note.startswith("Version v1 of digits, tested on 2 images with 2 labels.")
    assert "\\<b\\>\\*x\\*\\</b\\>\\|" in note


def test_note_escapes_the_names_of_version_and_project(make_evaluation, make_metrics):
    """In an archive they may be anything."""
    version = make_evaluation().version
    version = replace(version, name="[v](x)", project=replace(version.project, name="<b>\nx"))
    note = render_note(make_evaluation(version=version), make_metrics(), [])

    assert note.startswith(r"Version \[v\](x) of \<b\> x, tested on ")


def test_a_warning_is_one_line(make_evaluation, make_metrics):
    """The tag holds one a line, and a path may hold line breaks."""
    evaluation = make_evaluation(warnings=("a\nb.json: gone", "\x1b[31mred\u2028"))

    assert list_warnings(evaluation, make_metrics())[:2] == (
        r"a\nb.json: gone",
        r"\x1b[31mred\u2028",
    )


def test_a_missing_interval_is_said_once(make_evaluation, make_metrics):
    """The reason alone would not say what is missing."""
    number = Number(value=1.0, reason="no interval: too few images")
    warnings = list_warnings(make_evaluation(), make_metrics(aggregate={"mcc": number}))

    assert "no interval for mcc: too few images" in warnings


def test_long_warnings_are_cut_between_lines_and_counted(make_evaluation, make_metrics):
    """MLflow would cut in the middle of a word and say nothing."""
    evaluation = make_evaluation(warnings=tuple(f"warning {i} " + "x" * 200 for i in range(100)))
    lines = tags_of(evaluation, make_metrics())["mlrek.warnings"].splitlines()

    assert sum(map(len, lines)) <= MAX_TAG + 100
    assert lines[-1].startswith("… and ")
    assert int(lines[-1].split()[2]) == 100 + 2 - (len(lines) - 1)


def test_params_are_few_and_short(make_evaluation, make_metrics):
    """The UI prints them above every picture."""
    assert describe_params(make_evaluation(), make_metrics()) == {
        "labels": "2",
        "test_images": "2",
        "train_images": "40",
        "prediction_rule": "top1",
        "records": "partial",
    }


def test_dataset_is_the_manifest_with_the_test_sets_identity(make_evaluation):
    """Equal digests in the UI mean equal test sets; MLflow takes at most 36 characters."""
    dataset = describe_dataset(make_evaluation(), "d" * 32, 1234)

    assert (dataset.uri, dataset.name) == ("s3://b/k/T.json", "test set dddddddd, 1,234 images")
    assert len(dataset.digest) == 32
    assert describe_dataset(make_evaluation(files=()), "") is None


def test_evaluation_key_changes_with_content_and_options_only(make_evaluation):
    """Status and place of the files change no number."""
    one = make_evaluation()
    moved = replace(one, files=tuple(replace(f, uri="s3://other/T.json") for f in one.files))
    running = replace(one, version=replace(one.version, status="RUNNING"))
    changed = replace(one, files=tuple(replace(f, sha256="cd") for f in one.files))
    key = compute_evaluation_key(one, Options())

    assert compute_evaluation_key(moved, Options()) == key
    assert compute_evaluation_key(running, Options()) == key
    assert compute_evaluation_key(changed, Options()) != key
    assert compute_evaluation_key(one, Options(prediction_rule="threshold")) != key
    assert compute_evaluation_key(one, Options(skip_bad_lines=True)) != key


def test_state_holds_the_options_and_fits_a_tag():
    """The same files read by another rule are not `unchanged`."""
    files = {"s3://b/k": "etag"}

    assert describe_state(files, Options()) != describe_state(files, Options(skip_bad_lines=True))
    assert describe_state({"x" * 9000: "e"}, Options()).startswith("sha256:")


def test_reported_numbers_never_mix_with_computed_ones(make_evaluation, make_metrics):
    """A version without a manifest has reported numbers and no aggregate ones."""
    metrics = make_metrics(aggregate={}, per_label=None, curves=None, test_images=None)
    keys = {p.key for p in describe_metrics(make_evaluation(), metrics)}

    assert keys == {"reported/f1", "training/billable_minutes"}


def test_number_without_value_is_not_defined():
    """NaN means undefined."""
    assert not Number(value=float("nan")).is_defined
    assert Number(value=0.0).is_defined


def test_the_providers_own_curve_is_logged_under_its_own_key(make_evaluation, make_metrics):
    """With the threshold in percent as step; what is undefined is left out."""
    nothing = np.full(3, np.nan)
    curve = ReportedCurve(
        thresholds=np.array([0.0, 0.049999, 0.5]),
        precision=np.array([0.2, 0.9, np.nan]),
        recall=np.array([1.0, 0.95, 0.0]),
        **dict.fromkeys(("f1", "tp", "fp", "fn", "tn"), nothing),
    )
    evaluation = make_evaluation(reported=Reported(curves={"": curve, "a": curve}))
    points = describe_metrics(evaluation, make_metrics())
    found = [(p.key, p.step, p.value) for p in points if p.key.startswith("reported_curve/")]
    assert found == [
        ("reported_curve/precision", 0, 0.2),
        ("reported_curve/precision", 5, 0.9),
        ("reported_curve/recall", 0, 1.0),
        ("reported_curve/recall", 5, 0.95),
        ("reported_curve/recall", 50, 0.0),
    ]


def test_an_option_that_was_not_there_yet_changes_no_old_run():
    """Its default is not part of the identity; any other value is."""
    assert Options().describe() == {"prediction_rule": "top1", "skip_bad_lines": False}
    given = Options(threshold=0.84, images="none").describe()
    assert (given["threshold"], given["images"]) == (0.84, "none")


def test_the_model_it_was_adapted_from_has_keys_of_its_own(make_evaluation, make_metrics):
    """What is computed and what is reported of the base model never mixes with the version's."""
    nan = np.full(1, np.nan)
    curve = ReportedCurve(
        **dict.fromkeys(("precision", "recall", "tp", "fp", "fn", "tn"), nan),
        thresholds=np.array([0.05]),
        f1=np.array([0.25]),
    )
    base = Reported(aggregate={"f1": 0.4}, curves={"": curve})
    evaluation = make_evaluation(reported=Reported(aggregate={"f1": 0.75}, baseline=base))
    metrics = replace(make_metrics(), baseline={"accuracy": Number(value=0.3)})
    points = {p.key: (p.value, p.step) for p in describe_metrics(evaluation, metrics)}

    assert points["aggregate/accuracy"] == (0.5, 0)
    assert points["base_model/accuracy"] == (0.3, 0)
    assert (points["reported/f1"], points["reported/base_f1"]) == ((0.75, 0), (0.4, 0))
    assert points["reported_curve/base_f1"] == (0.25, 5)


def test_kinds_of_errors_are_counted(make_evaluation, make_metrics):
    """One number for each kind of wrong box."""
    metrics = replace(make_metrics(), errors={"duplicate": 3, "missed": 0})
    points = {p.key: p.value for p in describe_metrics(make_evaluation(), metrics)}
    assert (points["errors/duplicate"], points["errors/missed"]) == (3, 0)


def test_doubts_come_first_among_the_warnings_and_stand_in_a_tag(make_evaluation, make_metrics):
    """Stopping ones before those that are said; their tag is JSON in ASCII."""
    said = Doubt(kind=DoubtKind.IMAGES_REPEATED, text="1 image stands twice")
    stops = Doubt(kind=DoubtKind.LINES_SKIPPED, text="2 lines of gr\u00fc\u00dfe.json\nleft out")
    evaluation = make_evaluation(doubts=(said,), warnings=("a remark",))
    tags = tags_of(evaluation, make_metrics(doubts=(stops,)))

    assert tags["mlrek.warnings"].splitlines()[:3] == [
        "2 lines of gr\u00fc\u00dfe.json\\nleft out",
        "1 image stands twice",
        "a remark",
    ]
    assert tags["mlrek.doubts"].isascii()
    assert [d["kind"] for d in json.loads(tags["mlrek.doubts"])] == [
        "lines_skipped",
        "images_repeated",
    ]


def test_more_doubts_than_a_tag_holds_are_read_from_the_document(make_evaluation, make_metrics):
    """The tag then names `evaluation.json`, which has all of them."""
    many = tuple(Doubt(kind=DoubtKind.LINES_SKIPPED, text=f"{i} " + "x" * 400) for i in range(20))

    assert tags_of(make_evaluation(doubts=many), make_metrics())["mlrek.doubts"] == (
        "evaluation.json"
    )


def test_the_note_says_doubts_with_what_they_stop(make_evaluation, make_metrics):
    """As text, whatever stands in them; a remark follows."""
    doubt = Doubt(
        kind=DoubtKind.LINES_SKIPPED, text="<b>\nx", touches=("aggregate/*", "label_recall/a|b")
    )
    note = render_note(make_evaluation(doubts=(doubt,)), make_metrics(), ["a remark"])

    assert "- Doubt (stops checks; the computed numbers, recall of a\\|b): \\<b\\>\\\\nx.\n" in note
    assert "- Beware: a remark." in note


def test_headline_numbers_stand_again_under_short_keys(make_evaluation, make_metrics):
    """At most six, equal to those of `aggregate/`; an undefined one is left out."""
    points = {p.key: p.value for p in describe_metrics(make_evaluation(), make_metrics())}

    assert {key: value for key, value in points.items() if key.startswith("score/")} == {
        "score/accuracy": 0.5
    }


def test_slices_take_their_keys_before_labels_do(make_evaluation, make_metrics):
    """At most 20 of them, and 400 keys in all with any number of labels."""
    labels = tuple(f"label {i}" for i in range(500))
    sites = tuple(f"s{i:02}" for i in range(30))
    column = SliceColumn(name="site", values=sites, codes=np.array([0, 1]))
    rows = [
        SliceRow(
            names=(f"site={site}",),
            images=np.arange(40),
            numbers={"accuracy": Number(value=0.5)},
            score=0.5,
            rest=0.5,
        )
        for site in sites
    ]
    points = describe_metrics(
        make_evaluation(labels, slice_columns=(column,)),
        make_metrics(labels),
        SliceReport(score="accuracy", singles=tuple(rows), columns=("site",)),
    )
    keys = {point.key for point in points}

    assert sum(key.startswith("slice/") for key in keys) == 20
    assert len(keys) == MAX_METRIC_KEYS == 400
    for key in keys:
        _validate_metric_name(key)
