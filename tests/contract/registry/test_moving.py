"""Moving an alias in real registries, alone and while others move it."""

import shutil
import threading
from dataclasses import replace

import pytest

from mlrek.errors import ModelNotFoundError, UsageError
from mlrek.evaluation import Project, Provider
from mlrek.registry.door import ModelVersion, Registry
from mlrek.registry.moving import Clock, Move, MoveOutcome, find_previous, move_alias
from mlrek.tracking.connection import connect

ALONE = Clock(sleep=lambda _: None)  # nobody else is there to be waited for
AT_ONCE = range(2, 10)


@pytest.fixture(scope="module")
def database(tmp_path_factory, empty_store) -> str:
    """A database file for all tests here."""
    return f"sqlite:///{shutil.copy(empty_store, tmp_path_factory.mktemp('moving'))}"


@pytest.fixture(params=["database", "mlflow_server"])
def registry(request) -> Registry:
    """A registry of each kind."""
    return Registry(connect(request.getfixturevalue(request.param)))


@pytest.fixture
def name(request, registry) -> str:
    """A registered model of this test with three versions, the first of which is the champion."""
    name = f"m{abs(hash(request.node.nodeid))}"
    registry.open_model(name, Project(provider=Provider.REKOGNITION, arn="arn:p", name="p"))
    for _ in range(3):
        registry.client.create_model_version(name, "s3://bucket/model")
    registry.set_alias(name, "champion", 1)
    return name


def move(name: str, number: int, before: int | None = 1) -> Move:
    """A move of the champion."""
    version = ModelVersion(name=name, number=number)
    return Move(version=version, alias="champion", before=before)


def test_the_alias_is_moved_and_what_it_was_is_remembered(registry, name):
    """On the version and on the model; nothing else is left behind."""
    moved = move_alias(registry, move(name, 2), ALONE)

    assert (moved.outcome, moved.now) == (MoveOutcome.MOVED, 2)
    assert registry.get_aliases(name) == {"champion": 2}
    assert registry.get_version(name, 2).tags["mlrek.previous.champion"] == "1"
    assert registry.get_model_tags(name) == {
        "project_arn": "arn:p",
        "project_name": "p",
        "mlrek.previous.champion": "1",
        "mlrek.promoted.champion": "true",
    }


def test_the_first_champion_has_none_before_it(registry, name):
    """Which is remembered as well; there is nothing to roll back to."""
    first = replace(move(name, 2, before=None), alias="challenger")
    moved = move_alias(registry, first, ALONE)

    assert (moved.outcome, moved.now) == (MoveOutcome.MOVED, 2)
    with pytest.raises(UsageError, match="which was the first"):
        find_previous(registry, name, "challenger")


def test_an_alias_that_somebody_moved_meanwhile_is_left(registry, name):
    """The candidate was checked against version 1; now it is 3."""
    registry.set_alias(name, "champion", 3)
    moved = move_alias(registry, move(name, 2), ALONE)

    assert (moved.outcome, moved.now) == (MoveOutcome.OVERTAKEN, 3)
    assert "it was version 1 and now is version 3" in moved.reason
    assert registry.get_aliases(name) == {"champion": 3}


def test_an_alias_that_somebody_took_away_is_left_so(registry, name):
    """It is not set any more."""
    registry.client.delete_registered_model_alias(name, "champion")
    moved = move_alias(registry, move(name, 2), ALONE)

    assert (moved.outcome, moved.now) == (MoveOutcome.OVERTAKEN, None)
    assert "now is not set any more" in moved.reason
    assert registry.get_aliases(name) == {}


def test_somebody_who_wanted_the_same_is_no_trouble(registry, name):
    """It is told, though: this promotion did not move it."""
    registry.set_alias(name, "champion", 2)
    moved = move_alias(registry, move(name, 2), ALONE)

    assert (moved.outcome, moved.now) == (MoveOutcome.UNCHANGED, 2)
    assert "somebody else moved" in moved.reason


def test_somebody_who_moves_it_on_at_once_is_seen(registry, name, monkeypatch):
    """The alias is read again after the move, and left as they wanted."""
    set_alias = Registry.set_alias

    def set_and_be_overtaken(self, name, alias, number):
        set_alias(self, name, alias, number)
        set_alias(self, name, alias, 3)

    monkeypatch.setattr(Registry, "set_alias", set_and_be_overtaken)
    moved = move_alias(registry, move(name, 2), ALONE)

    assert (moved.outcome, moved.now) == (MoveOutcome.OVERTAKEN, 3)
    assert "moved it on to version 3 at once" in moved.reason
    assert registry.get_aliases(name) == {"champion": 3}


def test_rollbacks_go_back_step_by_step(registry, name):
    """Never forth to what was rolled back, and no further than what is known."""
    for number in (2, 3):
        before = registry.get_aliases(name)["champion"]
        move_alias(registry, replace(move(name, number), before=before), ALONE)
    steps = []
    for _ in range(2):
        back = find_previous(registry, name, "champion")
        moved = move_alias(registry, back, ALONE)
        steps.append((back.before, moved.outcome, registry.get_aliases(name)["champion"]))

    assert steps == [(3, MoveOutcome.MOVED, 2), (2, MoveOutcome.MOVED, 1)]
    with pytest.raises(UsageError, match="was not promoted by mlrek"):
        find_previous(registry, name, "champion")


def test_nothing_is_known_of_an_alias_that_was_moved_in_another_way(registry, name):
    """Or of one that is not set, or of a model that is not there."""
    with pytest.raises(UsageError, match="was not promoted by mlrek"):
        find_previous(registry, name, "champion")
    with pytest.raises(UsageError, match="is not set"):
        find_previous(registry, name, "other")
    with pytest.raises(ModelNotFoundError, match="has no models:/nobody"):
        find_previous(registry, "nobody", "champion")


def test_promotions_that_have_all_read_the_same_champion_leave_one(registry, name, monkeypatch):
    """Each moves the alias before any reads it again: the last one moved it, the others say so."""
    all_have_read = threading.Barrier(len(AT_ONCE))
    set_alias = Registry.set_alias

    def meet_and_set(self, name, alias, number):
        all_have_read.wait(600)
        set_alias(self, name, alias, number)

    monkeypatch.setattr(Registry, "set_alias", meet_and_set)
    told = promote_at_once(registry, name)

    assert sorted(moved.outcome for moved in told.values()) == ["moved", *["overtaken"] * 7]
    assert_all_tell_the_truth(registry, name, told)


@pytest.mark.parametrize("turn", range(3))
def test_promotions_at_once_leave_one_champion(registry, name, turn):
    """Each of eight says what the alias really became; exactly one moved it."""
    told = promote_at_once(registry, name)

    assert [moved.outcome for moved in told.values()].count(MoveOutcome.MOVED) == 1
    assert_all_tell_the_truth(registry, name, told)


def promote_at_once(registry: Registry, name: str) -> dict:
    """Eight promotions of different versions in threads: what each says."""
    for _ in range(len(AT_ONCE) - 2):
        registry.client.create_model_version(name, "s3://bucket/model")
    start = threading.Barrier(len(AT_ONCE))
    told = {}

    def promote(number):
        version = ModelVersion(name=name, number=number)
        asked = Move(version=version, alias="champion", before=1, decision=f"seal-{number}")
        start.wait(600)
        told[number] = move_alias(registry, asked)

    threads = [threading.Thread(target=promote, args=(number,)) for number in AT_ONCE]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def assert_all_tell_the_truth(registry: Registry, name: str, told: dict) -> None:
    """The champion is the version of the one that moved, and the model's tags tell of that one."""
    (winner,) = (number for number, moved in told.items() if moved.outcome == MoveOutcome.MOVED)
    tags = registry.get_model_tags(name)

    assert registry.get_aliases(name) == {"champion": winner}
    assert {moved.now for moved in told.values()} == {winner}
    assert tags["mlrek.decision.champion"] == f"{winner}/seal-{winner}"
    assert tags["mlrek.previous.champion"] == "1"


def test_where_mlflow_is_slow_others_are_waited_for_longer(registry, name, monkeypatch):
    """A second, or three times as long as the own move took."""
    time, waits = [1000.0], []
    clock = Clock(now=lambda: time[0], sleep=waits.append)
    set_alias = Registry.set_alias

    def set_slowly(self, name, alias, number):
        set_alias(self, name, alias, number)
        time[0] += 4

    move_alias(registry, move(name, 2), clock)
    monkeypatch.setattr(Registry, "set_alias", set_slowly)
    move_alias(registry, move(name, 3, before=2), clock)

    assert waits == [1.0, 12.0]


def test_a_promotion_that_was_killed_keeps_nobody_waiting(registry, name, monkeypatch):
    """What it wrote before it moved the alias stops no other."""
    monkeypatch.setattr(Registry, "set_alias", lambda *_: exit_at_once())
    with pytest.raises(SystemExit):
        move_alias(registry, move(name, 2), ALONE)
    monkeypatch.undo()

    assert registry.get_aliases(name) == {"champion": 1}
    assert move_alias(registry, move(name, 3), ALONE).outcome == MoveOutcome.MOVED


def exit_at_once() -> None:
    """As a process does that is asked to end."""
    raise SystemExit(1)
