"""Which labels a project's matrices are drawn with: who decides, and who waits for whom."""

from threading import Thread

import pytest

from mlrek.evaluation import Project, Provider, Version
from mlrek.runs.drawn import DrawnLabels, find_age


def make_labels(versions, kept=(), logged=None, keep=lambda chosen: chosen):
    """What decides for these versions, the oldest first."""
    return DrawnLabels(kept, versions, logged or {}, keep)


def test_the_oldest_version_decides_though_a_later_one_is_read_first():
    """The later one waits until the older one has spoken."""
    drawn, chosen = make_labels(["old", "new"]), []
    thread = Thread(target=lambda: chosen.append(drawn.choose("new", ("b",))))
    thread.start()
    assert drawn.choose("old", ("a",)) == ("a",)
    thread.join(10)
    assert chosen == [("a",)]


@pytest.mark.parametrize("reason", ["it has few labels", "it failed"])
def test_a_version_without_a_say_is_passed_over(reason):
    """The next oldest decides."""
    drawn = make_labels(["old", "new"])
    drawn.pass_over("old")
    assert drawn.choose("new", ("b",)) == ("b",), reason


def test_what_was_kept_holds():
    """Nobody is asked."""
    assert make_labels(["old", "new"], kept=["k"]).choose("new", ("b",)) == ("k",)


def test_a_version_that_is_only_logged_is_asked():
    """It is older, and reads what it would choose."""
    drawn = make_labels(["logged", "new"], logged={"logged": lambda: ("l",)})
    assert drawn.choose("new", ("b",)) == ("l",)


def test_a_newer_version_that_is_only_logged_is_not_read():
    """The older one decides without it."""
    drawn = make_labels(["old", "logged"], logged={"logged": lambda: pytest.fail("was read")})
    assert drawn.choose("old", ("a",)) == ("a",)


def test_what_another_process_kept_meanwhile_holds():
    """Both draw the same."""
    drawn = make_labels(["old", "new"], keep=lambda _chosen: ("theirs",))
    assert drawn.choose("old", ("a",)) == ("theirs",)
    assert drawn.choose("new", ("b",)) == ("theirs",)


def test_a_choice_is_made_once():
    """However many versions ask."""
    kept = []
    drawn = make_labels(["old", "new"], keep=lambda chosen: kept.append(chosen) or chosen)
    drawn.choose("old", ("a",))
    drawn.choose("new", ("b",))
    assert kept == [("a",)]


def test_versions_without_a_time_of_training_are_the_newest():
    """Of equal ones the ARN decides, so that everybody decides alike."""
    project = Project(provider=Provider.CUSTOM, arn="mlrek:project/p", name="p")

    def make(arn, start=None, end=None):
        return Version(
            project=project, arn=arn, name=arn, training_start_ms=start, training_end_ms=end
        )

    versions = [make("d"), make("c", 5), make("b", 5), make("a", None, 4), make("e", 9)]
    assert [v.arn for v in sorted(versions, key=find_age)] == ["a", "b", "c", "e", "d"]
