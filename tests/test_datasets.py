"""The shipped photographs are those of the manifest."""

import hashlib
import tomllib
from pathlib import Path

from PIL import Image

DATASETS = Path(__file__).resolve().parent.parent / "datasets"
MANIFEST = tomllib.loads((DATASETS / "manifest.toml").read_text(encoding="utf-8"))["image"]


def test_every_file_is_listed_with_source_and_licence():
    listed = {entry["file"] for entry in MANIFEST}
    assert listed == {path.name for path in DATASETS.iterdir()} - {"manifest.toml", "models"}
    for entry in MANIFEST:
        assert entry["licence"] == "CC0-1.0"
        assert entry["source"]
        assert entry["author"]


def test_every_file_is_what_the_manifest_says():
    for entry in MANIFEST:
        path = DATASETS / entry["file"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"]
        with Image.open(path) as image:
            assert list(image.size) == entry["size"]
            assert image.mode == "L"


def test_one_image_has_a_megapixel_and_all_are_small_to_download():
    assert any(entry["size"][0] * entry["size"][1] >= 1_000_000 for entry in MANIFEST)
    assert sum((DATASETS / entry["file"]).stat().st_size for entry in MANIFEST) < 6_000_000
