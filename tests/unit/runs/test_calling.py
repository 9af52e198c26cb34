"""Calls of a version: each image once, each answer kept as a whole line."""

import json
import threading

import pytest

from mlrek.errors import ParseError, SourceError
from mlrek.runs.calling import MAX_UNREADABLE, call_missing, say_cost
from mlrek.sources.rekognition_now import Answered

ARN = "arn:v1"
SEEN = {"CustomLabels": [{"Name": "größe", "Confidence": 50.0}]}


class Watch:
    """Remembers what it was told."""

    def __init__(self):
        self.said, self.calls, self.done = [], 0, 0

    def say(self, text):
        """Remember."""
        self.said.append(text)

    def start(self, calls):
        """Remember."""
        self.calls = calls

    def advance(self):
        """Remember."""
        self.done += 1


class Endpoint:
    """Answers from a table; an error in it is raised."""

    version_arn = ARN

    def __init__(self, **answers):
        self.answers, self.asked, self.lock = answers, [], threading.Lock()

    def ask(self, image):
        """The answer, the same for an image that the table does not hold."""
        with self.lock:
            self.asked.append(image)
        answer = self.answers.get(image, Answered(response=SEEN))
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def path(tmp_path):
    """A file of answers that is not there yet."""
    return tmp_path / "answers.jsonl"


def call(images, endpoint, path, jobs=3):
    """Call, and remember what was told."""
    watch = Watch()
    call_missing(images, endpoint, path, jobs=jobs, watch=watch)
    return watch


def read(path):
    """The lines by image."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len({line["image"] for line in lines}) == len(lines)
    return {line["image"]: line for line in lines}


def test_each_image_is_asked_about_once_and_kept(path):
    """Whose answer it is and what was asked for stand on each line."""
    endpoint = Endpoint()
    watch = call([*"abcde", "a"], endpoint, path)
    assert sorted(endpoint.asked) == list("abcde")
    expected = {"version_arn": ARN, "min_confidence": 0, "response": SEEN}
    assert read(path) == {image: {"image": image, **expected} for image in "abcde"}
    assert (watch.calls, watch.done) == (5, 5)


def test_what_is_answered_is_not_asked_again(path):
    """Be it an answer or an error."""
    call("abc", Endpoint(b=Answered(error="InvalidImageFormatException: no")), path)
    endpoint = Endpoint()
    watch = call("abcd", endpoint, path)
    assert endpoint.asked == ["d"]
    assert "1 times (3 answers are kept)" in watch.said[0]
    assert read(path)["b"]["error"] == "InvalidImageFormatException: no"
    assert call("abcd", endpoint, path).said == []


def test_a_cut_off_last_line_is_dropped_with_a_word(path):
    """And its image asked about again."""
    call("ab", Endpoint(), path)
    path.write_bytes(path.read_bytes()[:-9])
    endpoint = Endpoint()
    watch = call("ab", endpoint, path)
    assert len(endpoint.asked) == 1
    assert "cut off" in watch.said[0]
    assert sorted(read(path)) == ["a", "b"]


def test_a_whole_last_line_without_its_end_stays(path):
    """As an editor may leave it."""
    call("ab", Endpoint(), path)
    path.write_bytes(path.read_bytes()[:-1])
    assert call("abc", Endpoint(), path).calls == 1
    assert sorted(read(path)) == ["a", "b", "c"]


def test_a_file_of_another_version_is_not_added_to(path):
    """Nothing is called."""
    path.write_text('{"image": "a", "version_arn": "arn:other", "CustomLabels": []}\n')
    endpoint = Endpoint()
    with pytest.raises(ParseError, match="of another version"):
        call("ab", endpoint, path)
    assert endpoint.asked == []


def test_trouble_stops_all_and_keeps_what_was_answered(path):
    """No image is asked about after it, but those under way."""
    endpoint = Endpoint(c=SourceError("c", "denied"))
    with pytest.raises(SourceError, match="denied"):
        call("abcdefghijklmnop", endpoint, path, jobs=1)
    assert endpoint.asked == ["a", "b", "c"]
    assert sorted(read(path)) == ["a", "b"]


def test_not_one_readable_image_is_nobodys_fault_but_the_permissions(path):
    """After a few it stops, and no image is marked as broken."""
    images = [f"s3://b/{i}" for i in range(100)]
    endpoint = Endpoint(**{image: Answered(error="InvalidS3Object") for image in images})
    with pytest.raises(SourceError, match="nor could any other image be read"):
        call(images, endpoint, path)
    assert len(endpoint.asked) < MAX_UNREADABLE + 3
    assert path.read_bytes() == b""
    with pytest.raises(SourceError, match="nor could any other image be read"):
        call(images[:2], endpoint, path)
    assert path.read_bytes() == b""


def test_broken_images_before_the_first_good_one_are_kept_with_it(path):
    """Then it was the images."""
    endpoint = Endpoint(a=Answered(error="E"), b=Answered(error="E"))
    call("abc", endpoint, path, jobs=1)
    assert sorted(read(path)) == ["a", "b", "c"]


def test_two_do_not_ask_for_the_same_file_at_once(path):
    """Each image would be paid for twice."""

    class Slow(Endpoint):
        def ask(self, image):
            with pytest.raises(SourceError, match="another process is asking"):
                call("ab", Endpoint(), path)
            return super().ask(image)

    call("a", Slow(), path)
    assert sorted(read(path)) == ["a"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    """Before anything is called."""
    endpoint = Endpoint()
    with pytest.raises(SourceError, match="cannot be"):
        call("a", endpoint, tmp_path / "nowhere" / "x.jsonl")
    with pytest.raises(SourceError, match="cannot be"):
        call("a", endpoint, tmp_path)
    assert endpoint.asked == []


def test_the_cost_is_told_before():
    """Eight at once at 0.4 s a call are 20 a second: 24,000 take 20 minutes; more stop at 50."""
    said = say_cost(24_000, 0, 8)
    assert "24,000 times, which takes about 20 minutes" in said
    assert "about 4 USD an hour for each inference unit" in said
    assert "about 8 minutes" in say_cost(24_000, 0, 64)
    assert "about a minute" in say_cost(10, 0, 8)
