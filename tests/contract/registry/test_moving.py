"""Moving an alias in real registries, alone and while others move it."""

import shutil
import threading
from dataclasses import replace

import pytest

from mlrek.errors import ModelNotFoundError, TrackingError, UsageError
from mlrek.evaluation import Project, Provider
from mlrek.registry import moving
from mlrek.registry.door import Registry
from mlrek.registry.moving import Clock, Move, Outcome, find_previous, move_alias
from mlrek.registry.versions import ModelVersion
from mlrek.tracking.connection import connect


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


class FakeClock:
    """Time that passes only while one sleeps."""

    def __init__(self):
        self.time = 1000.0
        self.on_sleep = lambda: None

    def sleep(self, seconds: float) -> None:
        """Let time pass, and whatever happens meanwhile."""
        self.time += seconds
        self.on_sleep()

    @property
    def clock(self) -> Clock:
        """As `move_alias` takes it."""
        return Clock(now=lambda: self.time, sleep=self.sleep)


def test_the_alias_is_moved_and_what_it_was_is_remembered(registry, name):
    """On the version and on the model; no claim is left behind."""
    moved = move_alias(registry, move(name, 2))

    assert (moved.outcome, moved.now) == (Outcome.MOVED, 2)
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
    moved = move_alias(registry, first)

    assert (moved.outcome, moved.now) == (Outcome.MOVED, 2)
    with pytest.raises(UsageError, match="which was the first"):
        find_previous(registry, name, "challenger")


def test_an_alias_that_somebody_moved_meanwhile_is_left(registry, name):
    """The candidate was checked against version 1; now it is 3."""
    registry.set_alias(name, "champion", 3)
    moved = move_alias(registry, move(name, 2))

    assert (moved.outcome, moved.now) == (Outcome.OVERTAKEN, 3)
    assert "it was version 1 and now is version 3" in moved.reason
    assert registry.get_aliases(name) == {"champion": 3}


def test_an_alias_that_somebody_took_away_is_left_so(registry, name):
    """It is not set any more."""
    registry.client.delete_registered_model_alias(name, "champion")
    moved = move_alias(registry, move(name, 2))

    assert (moved.outcome, moved.now) == (Outcome.OVERTAKEN, None)
    assert "now is not set any more" in moved.reason
    assert registry.get_aliases(name) == {}


def test_somebody_who_wanted_the_same_is_no_trouble(registry, name):
    """It is told, though: this promotion did not move it."""
    registry.set_alias(name, "champion", 2)
    moved = move_alias(registry, move(name, 2))

    assert (moved.outcome, moved.now) == (Outcome.UNCHANGED, 2)
    assert "somebody else moved" in moved.reason


def test_somebody_who_moves_it_on_at_once_is_seen(registry, name, monkeypatch):
    """The alias is read again after the move, and left as they wanted."""
    set_alias = Registry.set_alias

    def set_and_be_overtaken(self, name, alias, number):
        set_alias(self, name, alias, number)
        set_alias(self, name, alias, 3)

    monkeypatch.setattr(Registry, "set_alias", set_and_be_overtaken)
    moved = move_alias(registry, move(name, 2))

    assert (moved.outcome, moved.now) == (Outcome.OVERTAKEN, 3)
    assert "moved it on to version 3 at once" in moved.reason
    assert registry.get_aliases(name) == {"champion": 3}


def test_rollbacks_go_back_step_by_step(registry, name):
    """Never forth to what was rolled back, and no further than what is known."""
    for number in (2, 3):
        before = registry.get_aliases(name)["champion"]
        move_alias(registry, replace(move(name, number), before=before))
    steps = []
    for _ in range(2):
        back = find_previous(registry, name, "champion")
        moved = move_alias(registry, back)
        steps.append((back.before, moved.outcome, registry.get_aliases(name)["champion"]))

    assert steps == [(3, Outcome.MOVED, 2), (2, Outcome.MOVED, 1)]
    with pytest.raises(UsageError, match="was not promoted by mlrek"):
        find_previous(registry, name, "champion")


def test_nothing_is_known_of_an_alias_that_was_moved_in_another_way(registry, name):
    """Or of one that is not set, or of a model that is not there."""
    with pytest.raises(UsageError, match="was not promoted by mlrek"):
        find_previous(registry, name, "champion")
    with pytest.raises(UsageError, match="is not set"):
        find_previous(registry, name, "other")
    with pytest.raises(ModelNotFoundError, match="no registered model"):
        find_previous(registry, "nobody", "champion")


def test_two_promotions_that_see_each_other_take_turns(registry, name, monkeypatch):
    """Both have written their claims before either reads: one moves, the other is overtaken."""
    begun, written = threading.Barrier(2), threading.Barrier(2)
    first_reads, first_claims = iter(range(2)), iter(range(2))
    set_tags, get_tags = Registry.set_model_tags, Registry.get_model_tags

    def read_and_meet(self, name):
        tags = get_tags(self, name)
        if next(first_reads, None) is not None:  # neither has seen the other's claim
            begun.wait(600)
        return tags

    def set_and_meet(self, name, tags):
        set_tags(self, name, tags)
        is_claim = any(key.startswith(moving.CLAIM) for key in tags)
        if is_claim and next(first_claims, None) is not None:
            written.wait(600)

    monkeypatch.setattr(Registry, "get_model_tags", read_and_meet)
    monkeypatch.setattr(Registry, "set_model_tags", set_and_meet)
    told = promote_at_once(registry, name)

    assert sorted(moved.outcome for moved in told.values()) == ["moved", "overtaken"]
    assert_all_tell_the_truth(registry, name, told)


@pytest.mark.parametrize("turn", range(3))
def test_promotions_at_once_leave_one_champion(registry, name, turn):
    """Each says what the alias really became; exactly one moved it."""
    told = promote_at_once(registry, name)

    assert [moved.outcome for moved in told.values()].count(Outcome.MOVED) == 1
    assert_all_tell_the_truth(registry, name, told)


def promote_at_once(registry: Registry, name: str) -> dict:
    """Two promotions of different versions in threads: what each says."""
    start = threading.Barrier(2)
    told = {}

    def promote(number):
        start.wait(600)
        told[number] = move_alias(registry, move(name, number))

    threads = [threading.Thread(target=promote, args=(number,)) for number in (2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


def assert_all_tell_the_truth(registry: Registry, name: str, told: dict) -> None:
    """The champion is the version of the one that moved; nothing of the claims is left."""
    (winner,) = (number for number, moved in told.items() if moved.outcome == Outcome.MOVED)

    assert registry.get_aliases(name) == {"champion": winner}
    assert {moved.now for moved in told.values()} == {winner}
    assert not any(key.startswith(moving.CLAIM) for key in registry.get_model_tags(name))


def test_the_claim_of_a_dead_process_is_cleared_after_a_minute(registry, name):
    """It is watched for so long by one's own clock: machines need not agree on the time."""
    fake = FakeClock()
    registry.set_model_tags(name, {f"{moving.CLAIM}champion.0": "long ago"})
    moved = move_alias(registry, move(name, 2), fake.clock)

    assert moved.outcome == Outcome.MOVED
    assert 1060 < fake.time < 1065
    assert not any(key.startswith(moving.CLAIM) for key in registry.get_model_tags(name))


def test_a_claim_of_somebody_at_work_is_waited_for(registry, name):
    """Here it goes after three looks; then the alias is read afresh."""
    fake = FakeClock()
    claim = f"{moving.CLAIM}champion.z"
    registry.set_model_tags(name, {claim: "now"})

    def work():
        if fake.time > 1000.7:
            registry.set_alias(name, "champion", 3)
            registry.delete_model_tag(name, claim)

    fake.on_sleep = work
    moved = move_alias(registry, move(name, 2), fake.clock)

    assert (moved.outcome, moved.now) == (Outcome.OVERTAKEN, 3)


def test_a_queue_without_end_is_given_up(registry, name):
    """A claim that is written anew is alive."""
    fake = FakeClock()
    claim = f"{moving.CLAIM}champion.0"
    registry.set_model_tags(name, {claim: "0"})
    fake.on_sleep = lambda: registry.set_model_tags(name, {claim: str(fake.time)})
    moving_on = move(name, 2)
    fake.sleep = lambda seconds: FakeClock.sleep(fake, 10 * seconds)

    with pytest.raises(TrackingError, match="under way for 180 seconds"):
        move_alias(registry, moving_on, Clock(now=lambda: fake.time, sleep=fake.sleep))
    assert registry.get_aliases(name) == {"champion": 1}


def test_a_turn_that_took_too_long_moves_nothing(registry, name, monkeypatch):
    """Others may take its claim for that of a dead process by then."""
    fake = FakeClock()
    set_tags = Registry.set_version_tags

    def set_slowly(self, version, tags):
        set_tags(self, version, tags)
        fake.time += 21

    monkeypatch.setattr(Registry, "set_version_tags", set_slowly)
    with pytest.raises(TrackingError, match="too slowly"):
        move_alias(registry, move(name, 2), fake.clock)

    assert registry.get_aliases(name) == {"champion": 1}


def test_claims_for_another_alias_do_not_matter(registry, name):
    """Nor do tags that only look alike."""
    registry.set_model_tags(
        name, {f"{moving.CLAIM}challenger.0": "now", f"{moving.CLAIM}champion-2.0": "now"}
    )

    assert move_alias(registry, move(name, 2)).outcome == Outcome.MOVED
