"""Where the pages of a local store are served."""

import socket

import pytest

from mlrek.errors import TrackingError
from mlrek.tracking.connection import HOST, choose_port, serve_pages


def test_a_taken_port_is_passed_over():
    """5000 is a favourite of other programs."""
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        taken = other.getsockname()[1]

        with pytest.raises(TrackingError, match=f"port {taken} is taken; name another one"):
            choose_port(taken)
        assert choose_port(0) != taken


def test_a_server_that_does_not_start_is_told_of_with_its_own_words(tmp_path):
    """Its last lines say why."""
    with (
        pytest.raises(TrackingError, match=r"did not start: .+"),
        serve_pages(f"nonsense://{tmp_path}"),
    ):
        pytest.fail("it started")
