"""Rekognition over HTTP: projects and versions, page by page, whatever the service answers."""

import json
import pickle
from datetime import UTC, datetime

import botocore.session
import pytest
from fakes.evaluations import BUCKET, F1, PROJECT_ARN, describe, version_arn
from fakes.rekognition_server import Fault

from mlrek.errors import SourceError, SourceNotFoundError
from mlrek.evaluation import Project, Provider
from mlrek.sources import AwsOptions, list_projects, open_source

STATUSES = (
    botocore.session.get_session()
    .get_service_model("rekognition")
    .shape_for("ProjectVersionStatus")
    .enum
)


def _names(source):
    return [entry.version.name for entry in source.list_versions()]


def describe_unfinished(status, **changed):
    """What the service says of a version that has no evaluation (yet)."""
    nothing = dict.fromkeys(("TestingDataResult", "EvaluationResult", "ManifestSummary"))
    return describe(version_arn("v1"), Status=status, **(nothing | changed))


# ---- versions ------------------------------------------------------------------------------


def test_all_pages_are_read(publisher, rekognition_server):
    """Two versions a page, seven versions."""
    rekognition_server.page_size = 2
    arn = publisher.publish(*(describe(version_arn(f"v{n}", 1690000000000 + n)) for n in range(7)))
    assert _names(open_source(arn)) == [f"v{n}" for n in range(7)]
    asked = [params.get("NextToken") for _, params in rekognition_server.requests]
    assert asked == [None, "from-2", "from-4", "from-6"]


def test_an_empty_token_ends_the_listing(publisher, rekognition_server):
    """The service may send an empty NextToken with its last page."""
    rekognition_server.last_token = ""
    assert _names(open_source(publisher.publish(describe(version_arn("v1"))))) == ["v1"]


def test_versions_come_in_order_of_training(publisher):
    """The service promises no order; the start of training gives one."""
    arn = publisher.publish(
        describe(version_arn("b", 1690000000002)),
        describe(version_arn("c", 1690000000003)),
        describe(version_arn("a", 1690000000001)),
    )
    assert _names(open_source(arn)) == ["a", "b", "c"]


@pytest.mark.parametrize("code", ["ThrottlingException", "ProvisionedThroughputExceededException"])
@pytest.mark.parametrize("page", [0, 1])
def test_throttled_calls_are_made_again(publisher, rekognition_server, code, page):
    """Once on the first or a later page: nothing is lost or doubled."""
    rekognition_server.page_size = 2
    rekognition_server.faults.append(Fault("DescribeProjectVersions", code, page=page))
    arn = publisher.publish(*(describe(version_arn(f"v{n}", 1690000000000 + n)) for n in range(3)))
    assert _names(open_source(arn)) == ["v0", "v1", "v2"]


def test_endless_throttling_ends_with_advice(publisher, rekognition_server, monkeypatch):
    """After AWS_MAX_ATTEMPTS tries."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    rekognition_server.faults.append(
        Fault("DescribeProjectVersions", "ThrottlingException", times=100)
    )
    source = open_source(publisher.publish())
    with pytest.raises(SourceError, match="keeps throttling; run the command again later"):
        source.list_versions()
    assert len(rekognition_server.requests) == 2


@pytest.mark.parametrize(
    ("code", "status", "advice"),
    [
        ("AccessDeniedException", 400, "needs rekognition:DescribeProjectVersions"),
        ("ExpiredTokenException", 400, "have expired; renew them"),
        ("UnrecognizedClientException", 400, "does not accept the credentials"),
        ("InvalidParameterException", 400, "AWS refuses: InvalidParameterException: on demand"),
        ("InternalServerError", 500, "an error of its own; run the command again later"),
    ],
)
def test_a_refusal_is_one_line_with_advice(
    publisher, rekognition_server, monkeypatch, code, status, advice
):
    """Whatever the service answers, the message says what to do next and nothing secret."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fault = Fault("DescribeProjectVersions", code, status=status, times=9)
    rekognition_server.faults.append(fault)
    source = open_source(publisher.publish())
    with pytest.raises(SourceError, match=advice) as info:
        source.list_versions()
    assert "\n" not in str(info.value)
    assert "secret" not in str(info.value)


def test_a_project_that_is_not_there_is_not_found(publisher):
    """A well-formed ARN that the account does not have."""
    with pytest.raises(SourceNotFoundError, match="project/pets/1690474772815: not there"):
        open_source(PROJECT_ARN).list_versions()


def test_a_slow_answer_is_waited_for(publisher, rekognition_server):
    """Being late is no fault."""
    rekognition_server.faults.append(Fault("DescribeProjectVersions", delay=0.3))
    assert _names(open_source(publisher.publish(describe(version_arn("v1"))))) == ["v1"]


# ---- what a description says ----------------------------------------------------------------


def test_a_version_is_described_in_full(pets):
    """Name, project, times in milliseconds, minutes billed, reported F1."""
    entry, _ = open_source(pets).list_versions()
    version = entry.version
    assert version.arn == version_arn("v1")
    assert version.project == Project(provider=Provider.REKOGNITION, arn=pets, name="pets")
    assert (version.status, version.copied_from) == ("TRAINING_COMPLETED", "")
    assert (version.training_start_ms, version.training_end_ms) == (1690556751958, 1690558389958)
    assert version.billable_minutes == 1899 / 60
    assert (entry.reported, entry.skipped, entry.refused) == ({"f1": F1}, "", "")


def test_the_description_is_the_service_s_own(pets):
    """The same structure, times as ISO 8601 in UTC."""
    said = json.loads(open_source(pets).list_versions()[0].description)
    start = datetime.fromtimestamp(1690556751.958, UTC)
    assert said["CreationTimestamp"] == start.isoformat() == "2023-07-28T15:05:51.958000+00:00"
    expected = describe(version_arn("v1"))
    times = ("CreationTimestamp", "TrainingEndTimestamp")
    assert {k: v for k, v in said.items() if k not in times} == {
        k: v for k, v in expected.items() if k not in times
    }


@pytest.mark.parametrize("status", [*STATUSES, "SOMETHING_NEW"])
def test_an_evaluation_that_is_named_counts_whatever_the_status(publisher, status):
    """A model stays evaluated while it runs, stops, fails to host, or expires."""
    arn = publisher.publish(describe(version_arn("v1"), Status=status))
    (entry,) = open_source(arn).list_versions()
    assert (entry.version.status, entry.skipped, entry.refused) == (status, "", "")


@pytest.mark.parametrize("status", [*STATUSES, "SOMETHING_NEW"])
def test_a_version_that_names_no_evaluation_is_skipped_whatever_the_status(publisher, status):
    """Also one that claims to be trained."""
    arn = publisher.publish(describe_unfinished(status))
    (entry,) = open_source(arn).list_versions()
    assert entry.skipped
    assert not entry.refused


@pytest.mark.parametrize(
    ("status", "message", "reason"),
    [
        ("TRAINING_IN_PROGRESS", "Busy.", "training is in progress"),
        ("TRAINING_FAILED", "Too few\nimages.", "training failed: Too few images."),
        ("COPYING_FAILED", "No access.", "copying failed: No access."),
        ("STOPPED", "", "no evaluation is named (status STOPPED)"),
    ],
)
def test_the_reason_of_skipping_is_plain(publisher, status, message, reason):
    """What the service says of a failure is passed on, in one line."""
    arn = publisher.publish(describe_unfinished(status, StatusMessage=message))
    assert open_source(arn).list_versions()[0].skipped == reason


@pytest.mark.parametrize(
    "named",
    [
        {"EvaluationResult": {"F1Score": 0.5}},
        {"EvaluationResult": {"Summary": {"S3Object": {"Bucket": BUCKET, "Name": "s.json"}}}},
        {
            "TestingDataResult": {
                "Output": {
                    "Assets": [
                        {"GroundTruthManifest": {"S3Object": {"Bucket": BUCKET, "Name": "m.json"}}}
                    ]
                }
            }
        },
    ],
    ids=["f1", "summary", "manifest"],
)
def test_one_output_is_enough_for_an_evaluation(publisher, named):
    """F1, summary or manifest: each alone."""
    arn = publisher.publish(describe_unfinished("STOPPED", **named))
    assert open_source(arn).list_versions()[0].skipped == ""


@pytest.mark.parametrize("empty", [{}, {"Assets": []}, {"Assets": [{}]}])
def test_an_output_without_a_place_names_no_evaluation(publisher, empty):
    """The service's structures may be there and hold nothing."""
    arn = publisher.publish(describe_unfinished("STOPPED", TestingDataResult={"Output": empty}))
    assert open_source(arn).list_versions()[0].skipped


def test_a_copied_version_says_of_what(publisher):
    """So that it can be told from the original."""
    original = version_arn("v0", project_arn=PROJECT_ARN.replace("pets", "elsewhere"))
    arn = publisher.publish(describe(version_arn("v1"), SourceProjectVersionArn=original))
    assert open_source(arn).list_versions()[0].version.copied_from == original


def test_a_moderation_adapter_is_listed(publisher):
    """Like any other version; its files tell that they are another kind."""
    arn = publisher.publish(describe(version_arn("v1"), Feature="CONTENT_MODERATION"))
    (entry,) = open_source(arn).list_versions()
    assert not entry.refused


@pytest.mark.parametrize("where", ["Input", "Output"])
def test_an_automatic_split_is_a_warning(publisher, where):
    """Other versions may then have been tested on other images."""
    description = describe(version_arn("v1"))
    description["TestingDataResult"][where]["AutoCreate"] = True
    (entry,) = open_source(publisher.publish(description)).list_versions()
    assert ["split" in warning for warning in entry.warnings] == [True]


def test_a_version_without_a_readable_arn_fails_alone(publisher, rekognition_server):
    """The others are listed all the same."""
    arn = publisher.publish(describe(version_arn("v1")))
    rekognition_server.versions[arn].append({"Status": "TRAINING_COMPLETED"})
    good, bad = open_source(arn).list_versions()
    assert (good.refused, "ProjectVersionArn" in bad.refused) == ("", True)


# ---- which project, where -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("partition", "region"),
    [("aws", "eu-west-1"), ("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")],
)
def test_the_region_comes_from_the_arn(publisher, rekognition_server, partition, region):
    """In every partition; the request is signed for it."""
    arn = f"arn:{partition}:rekognition:{region}:111122223333:project/pets/1690474772815"
    publisher.publish(describe(version_arn("v1", project_arn=arn)), project_arn=arn)
    assert _names(open_source(arn)) == ["v1"]
    assert f"/{region}/rekognition/" in rekognition_server.authorizations[0]


def test_a_given_region_comes_first(publisher, rekognition_server):
    """--region beats the ARN."""
    open_source(publisher.publish(), AwsOptions(region="ap-south-1")).list_versions()
    assert "/ap-south-1/rekognition/" in rekognition_server.authorizations[0]


def test_mlrek_names_itself(publisher, rekognition_server):
    """The account's owner sees in the logs who asked."""
    open_source(publisher.publish()).list_versions()
    assert "mlrek/" in rekognition_server.user_agents[0]


def test_a_version_arn_is_that_version(pets):
    """The project's own ARN is found by its name."""
    (entry,) = open_source(version_arn("v2", 1690643151958)).list_versions()
    assert (entry.version.name, entry.version.project.arn) == ("v2", pets)


def test_a_version_arn_that_is_not_there_says_how_to_list(pets):
    """Same name, another version: one that was deleted and made again."""
    with pytest.raises(SourceNotFoundError, match=rf"mlrek versions {pets}"):
        open_source(version_arn("v2", 1)).list_versions()


@pytest.mark.parametrize("feature", ["CUSTOM_LABELS", "CONTENT_MODERATION"])
def test_a_name_is_the_project_of_that_name(publisher, rekognition_server, feature):
    """Of several, in the account and region of the credentials."""
    publisher.publish(describe(version_arn("v1")))
    rekognition_server.projects[0]["Feature"] = feature
    other = PROJECT_ARN.replace("pets", "pets-2")
    publisher.publish(describe(version_arn("w1", project_arn=other)), project_arn=other)
    assert _names(open_source("pets")) == ["v1"]


@pytest.mark.parametrize("not_found", [True, False])
def test_an_unknown_name_says_where_was_looked(rekognition_server, not_found):
    """Whether the service answers with an error or with nothing."""
    if not_found:
        rekognition_server.faults.append(Fault("DescribeProjects", "ResourceNotFoundException"))
    with pytest.raises(SourceNotFoundError, match=r"no project 'dogs' in region us-east-1") as info:
        open_source("dogs").list_versions()
    assert "there is no such folder" in str(info.value)


def test_a_name_without_a_region_asks_for_one(rekognition_server, monkeypatch):
    """Nothing says which region is meant."""
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(SourceError, match="no AWS region; pass --region or set AWS_REGION"):
        open_source("pets").list_versions()


def test_projects_of_both_features_are_listed_from_all_pages(rekognition_server):
    """The service hides moderation adapters unless asked for them."""
    rekognition_server.page_size = 1
    arns = [PROJECT_ARN.replace("pets", name) for name in ("c", "a", "b")]
    for arn, feature in zip(arns, ["CUSTOM_LABELS", "CONTENT_MODERATION", "CUSTOM_LABELS"]):  # noqa: B905
        created = datetime.fromtimestamp(1690474772.815, UTC)
        rekognition_server.add_project(arn, Feature=feature, CreationTimestamp=created)
    listed = list_projects(AwsOptions())
    assert [p.project.name for p in listed] == ["a", "b", "c"]
    assert [p.feature for p in listed] == ["CONTENT_MODERATION", "CUSTOM_LABELS", "CUSTOM_LABELS"]
    assert (listed[2].project.arn, listed[2].created_ms) == (arns[0], 1690474772815)


def test_a_denied_list_of_projects_names_the_permission(rekognition_server):
    """The one that `mlrek projects` needs."""
    rekognition_server.faults.append(Fault("DescribeProjects", "AccessDeniedException"))
    with pytest.raises(SourceError, match="needs rekognition:DescribeProjects"):
        list_projects(AwsOptions())


def test_a_source_travels_to_another_process(pets):
    """Pickled and back, it lists the same and loads the same."""
    source = open_source(pets)
    entries = source.list_versions()
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301 (our own bytes)
    assert copy.list_versions() == entries
    assert pickle.loads(pickle.dumps(entries)) == entries  # noqa: S301 (our own bytes)
