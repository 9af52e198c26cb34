"""The rules by which all readers agree on one model version, and the names that MLflow can hold."""

import pytest

from mlrek.errors import UsageError
from mlrek.registry.door import (
    ModelVersion,
    check_alias,
    check_name,
    clean_model_name,
    clean_name,
    current_version,
    find_version_of_run,
)


def version(number: int, run_id: str, arn: str = "a", **tags: str) -> ModelVersion:
    """A model version of a project's version."""
    return ModelVersion(name="m", number=number, run_id=run_id, tags={"version_arn": arn, **tags})


def test_of_two_for_the_same_run_the_smaller_number_counts():
    """Two processes registered at once."""
    versions = [version(3, "r"), version(2, "r"), version(1, "r", arn="b")]

    assert current_version(versions, "a").number == 2
    assert find_version_of_run(versions, "r").number == 1


def test_the_version_of_the_newest_run_counts():
    """Even where nobody got to tag the older one."""
    versions = [version(1, "old"), version(4, "new"), version(5, "new")]

    assert current_version(versions, "a").number == 4


def test_a_superseded_version_does_not_count():
    """Its run was replaced."""
    versions = [version(1, "r"), version(2, "s", **{"mlrek.superseded": "true"})]

    assert current_version(versions, "a").number == 1
    assert current_version(versions[1:], "a") is None


def test_a_version_without_a_run_is_nobodys():
    """Somebody registered it from a folder."""
    assert find_version_of_run([version(1, "")], "") is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("digits", "digits"),
        ("my project", "my-project"),
        ("a/b:c@d", "a-b-c-d"),
        ('it\'s "mine"', "it-s-mine"),
        ("größe", "größe"),
        ("gr\udcf6sse", "gr\\udcf6sse"),
        ("/", "model"),
        ("x" * 300, "x" * 200),
    ],
)
def test_a_projects_name_becomes_a_models(text, name):
    """Without what `models:/NAME@alias` could not hold."""
    assert clean_name(text) == name
    assert check_name(clean_name(name)) == name


def test_a_versions_name_becomes_a_logged_models():
    """MLflow refuses dots and percent signs there as well."""
    assert clean_model_name("v1.2 50%") == "v1-2-50"


@pytest.mark.parametrize("name", ["a/b", "a:b", "a@b", " ", "", "a b", "a'b"])
def test_a_name_that_mlflow_cannot_hold_is_refused(name):
    """With one that would do."""
    with pytest.raises(UsageError, match="would do"):
        check_name(name)


@pytest.mark.parametrize("alias", ["latest", "Latest", "v3", "a b", "a/b", "", "ä"])
def test_an_alias_that_mlflow_does_not_take_is_refused(alias):
    """Before anything else is done."""
    with pytest.raises(UsageError, match="cannot be an alias"):
        check_alias(alias)


def test_ordinary_aliases_are_taken():
    """As MLflow takes them."""
    assert [check_alias(a) for a in ("champion", "v3-old", "the_latest")] == [
        "champion",
        "v3-old",
        "the_latest",
    ]
