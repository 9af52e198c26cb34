"""Looking for evaluations in a folder of pictures."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mlrek.sources import open_source, tree

PICTURES = 200


def test_pictures_are_passed_over_by_their_names_alone(tmp_path, monkeypatch):
    """Of a folder with pictures only the other files are handed to threads that look into them."""
    handed = []

    class CountingPool(ThreadPoolExecutor):
        def submit(self, call, /, *args, **kwargs):
            handed.extend(Path(file.uri).name for file in args)
            return super().submit(call, *args, **kwargs)

    monkeypatch.setattr(tree, "ThreadPoolExecutor", CountingPool)
    for i in range(PICTURES):
        (tmp_path / f"{i}.png").touch()
    (tmp_path / "TestingGroundTruth-p-v1.json").write_text("{}")
    open_source(str(tmp_path)).list_versions()

    assert set(handed) == {"TestingGroundTruth-p-v1.json"}
