"""The tag that keeps the labels a project is drawn with."""

import pytest

from mlrek.metrics.drawn_labels import find_drawn
from mlrek.tracking.drawn import DRAWN_TAG, name_drawn_tag, read_drawn, write_drawn

ARN = "arn:aws:rekognition:eu-west-1:1:project/p"
OTHER = "arn:aws:rekognition:eu-west-1:1:project/q/7"
HOSTILE = ("</script>", '"', "\\", "..", " ", "ü" * 9, "\U0001f339", "\ud800", "sha256:x", "[]")


def test_names_come_back_as_they_were():
    """Also hostile ones; in ASCII, which each database takes."""
    text = write_drawn(HOSTILE)
    assert text.isascii()
    assert read_drawn({"project_arn": ARN, DRAWN_TAG: text}, ARN) == HOSTILE


@pytest.mark.parametrize("letter", ["a", "ü", "\U0001f339"])
def test_names_too_long_for_a_tag_are_kept_as_digests(letter):
    """24 names of 255 characters, in less than 5,000; each is found again."""
    labels = [f"{letter * 250}{i:02}" for i in range(30)]
    text = write_drawn(labels[3:27])
    assert len(text) <= 5000
    drawn = read_drawn({"project_arn": ARN, DRAWN_TAG: text}, ARN)
    assert find_drawn(labels, drawn).tolist() == list(range(3, 27))


def test_short_names_stay_readable_among_long_ones():
    """Only what is long has a digest."""
    text = write_drawn(["pine", *(f"{'x' * 300}{i}" for i in range(23))])
    assert text.startswith('["pine","sha256:')


@pytest.mark.parametrize("text", ["", "no JSON", "{}", "7", "null", "[1, null]"])
def test_a_tag_that_holds_something_else_is_no_choice(text):
    """Somebody may have written into it."""
    assert read_drawn({"project_arn": ARN, DRAWN_TAG: text}, ARN) == ()


def test_two_projects_in_one_experiment_have_a_tag_each():
    """The plain one is that of the project which the experiment was made for."""
    tags = {"project_arn": ARN, DRAWN_TAG: '["a"]', name_drawn_tag({}, OTHER): '["b"]'}
    assert (read_drawn(tags, ARN), read_drawn(tags, OTHER)) == (("a",), ("b",))


def test_a_project_whose_number_became_known_keeps_its_tag():
    """Downloaded files do not tell the number at the end of the ARN."""
    tags = {"project_arn": f"{ARN}/12", DRAWN_TAG: '["a"]'}
    assert read_drawn(tags, ARN) == ("a",)
