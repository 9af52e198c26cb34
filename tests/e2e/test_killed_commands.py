"""Every command that writes, killed at random moments: the next one mends what it left.

A bounded part of what `python tests/fakes/kills.py 200` does.
"""

from fakes.kills import Killer

KILLS = 8
"""Each command once."""


def test_killed_commands_leave_nothing_that_the_next_one_does_not_mend(warm, tmp_path):
    """No store, run, alias or archive is lost or there twice."""
    outcome = Killer(warm, tmp_path, seed=11).kill(KILLS)

    assert outcome.troubles == []
    assert outcome.killed.total() >= KILLS / 2
