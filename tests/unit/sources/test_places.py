"""Places of files: the folder around one, its name and its ending, of thousands at little cost."""

from pathlib import Path, PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from mlrek.sources.storage import LocalStorage, StoredFile, parent_uri

PARTS = st.sampled_from(
    ["a", "b c", ".", "..", "", "x.JSON", ".hidden", "a.", "C:", "é", "..b", "\\"]
)


@given(parts=st.lists(PARTS, min_size=1, max_size=6))
def test_the_folder_around_a_path_is_that_of_pathlib(parts):
    """Whatever a path looks like, `parent_uri` says what `Path.parent` says of a named file."""
    text = "/".join(parts)
    path = Path(text)
    expected = str(path.parent if path.name not in ("", "..") else path.resolve().parent)

    assert parent_uri(text) == expected


@given(
    folders=st.lists(st.sampled_from(["a", "b.c"]), max_size=2), name=st.text("aJ.é ", min_size=1)
)
def test_name_and_ending_are_those_of_pathlib(folders, name):
    """Of a file below a place, name and ending are what pathlib calls name and suffix."""
    path = PurePosixPath("/".join([*folders, f"x{name}"]))
    file = StoredFile(uri=f"/data/{path}", name=str(path), size=1)

    assert file.own_name == path.name
    assert file.ending == path.suffix.lower().removesuffix(".")


def test_only_plain_files_are_listed_with_their_bytes(tmp_path):
    """Links to files are followed; folders, links to nothing and hidden files are left out."""
    tmp_path.joinpath("a.json").write_bytes(b"12345")
    tmp_path.joinpath("below").mkdir()
    tmp_path.joinpath("below", "b.json").write_bytes(b"1")
    tmp_path.joinpath("linked.json").symlink_to(tmp_path / "a.json")
    tmp_path.joinpath("nowhere.json").symlink_to(tmp_path / "gone.json")
    tmp_path.joinpath(".hidden.json").write_bytes(b"1")

    listed = {file.name: file.size for file in LocalStorage().list_files(str(tmp_path))}

    assert listed == {"a.json": 5, "linked.json": 5, "below/b.json": 1}
