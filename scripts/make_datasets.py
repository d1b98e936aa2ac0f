"""Make the images of datasets/ from their originals, as datasets/manifest.toml says.

    python scripts/make_datasets.py FOLDER_OF_ORIGINALS [--write]

Each original is checked by its sha256, converted to grey (ITU-R 601 luma), reduced by Lanczos and
cropped. Without --write the results are compared with the sha256 of the manifest; with it they are
written, and what the manifest should say of them is printed.
"""

import argparse
import hashlib
import io
import sys
import tomllib
from pathlib import Path

from PIL import Image

DATASETS = Path(__file__).resolve().parent.parent / "datasets"


def make(original: Path, width: int, height: int, crop: list[int] | None) -> bytes:
    """Return the PNG of an original reduced to width × height and cropped to (l, u, r, d)."""
    with Image.open(original) as image:
        grey = image.convert("L").resize((width, height), Image.Resampling.LANCZOS)
    held = io.BytesIO()
    (grey if crop is None else grey.crop(tuple(crop))).save(held, format="PNG", optimize=True)
    return held.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("originals", type=Path)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    manifest = tomllib.loads((DATASETS / "manifest.toml").read_text(encoding="utf-8"))
    wrong = 0
    for entry in manifest["image"]:
        original = arguments.originals / entry["original"]
        digest = hashlib.sha256(original.read_bytes()).hexdigest()
        if digest != entry["original_sha256"]:
            print(f"{original}: not the original that the manifest names ({digest})")
            return 1
        png = make(original, *entry["reduced_to"], entry.get("crop"))
        made = hashlib.sha256(png).hexdigest()
        with Image.open(io.BytesIO(png)) as image:
            size = image.size
        if arguments.write:
            (DATASETS / entry["file"]).write_bytes(png)
        agrees = made == entry["sha256"] and list(size) == entry["size"]
        wrong += not agrees
        print(f"{entry['file']}: {size[0]} × {size[1]}, {len(png)} bytes, sha256 {made}"
              f"{'' if agrees else '  (the manifest says otherwise)'}")  # fmt: skip
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
