"""Train the shipped denoisers, score them on the 68 test images, and file what came of it.

    python scripts/train_models.py TRAIN400 BSDS68                       all of datasets/models
    python scripts/train_models.py TRAIN400 BSDS68 dct3-sigma25 foe24-sigma25

TRAIN400 is the folder of 400 crops, 180 × 180, of BSDS training images, BSDS68 that of the 68 grey
test images: both for research use, and not shipped. For each config NAME.toml it runs

    sparseimplicit learn datasets/models/NAME.toml --data TRAIN400 --out results/NAME
    sparseimplicit evaluate BSDS68 --model results/NAME/model.npz --out results/NAME-scores

and writes NAME.npz, NAME.log and NAME.json, the scores and the seconds that its steps took, beside
the config. Killed, it goes on where it was when given again.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys

from sparseimplicit.files import write_atomically
from sparseimplicit.imaging import read_model
from sparseimplicit.imaging.models import write_model

MODELS = pathlib.Path(__file__).resolve().parents[1] / "datasets" / "models"


def write_text(path, text):
    """Write a text file, whole or not at all."""
    write_atomically(path, lambda file: file.write(text.encode()))


def run(*command):
    """Run a command of ours; a training that ends at its most steps is as wanted (code 10)."""
    told = subprocess.run([sys.executable, "-m", "sparseimplicit", *map(str, command)], check=False)
    if told.returncode not in (0, 10):
        raise SystemExit(told.returncode)


def make(name, train, test, out, jobs):
    """Train one model and score it."""
    config, results, scores = MODELS / f"{name}.toml", out / name, out / f"{name}-scores"
    run("learn", config, "--data", train, "--out", results)
    run("evaluate", test, "--model", results / "model.npz", "--out", scores,
        "--jobs", jobs, "--figures", 0)  # fmt: skip
    means = json.loads((scores / "scores.json").read_text())["mean"]
    saved = read_model(results / "model.npz")
    told = {
        "model": name, "images": test.name, "sigma": saved.sigma, "mean": means,
        "seconds_of_steps": saved.about["seconds"],
    }  # fmt: skip
    about = {**saved.about, "scores": {**saved.about.get("scores", {}), test.name: means}}
    write_model(MODELS / f"{name}.npz", saved.model, saved.theta, about, shape=saved.shape)
    write_text(MODELS / f"{name}.json", json.dumps(told, indent=2) + "\n")
    shutil.copyfile(results / "log.txt", MODELS / f"{name}.log")
    print(json.dumps(told))


def main():
    """Make the models named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    # Those that begin with another model come last.
    found = sorted(MODELS.glob("*.toml"), key=lambda path: ("\nstart" in path.read_text(), path))
    known = [path.stem for path in found]
    parser.add_argument("train", type=pathlib.Path)
    parser.add_argument("test", type=pathlib.Path)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(known)}; all if none is named")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/models"))
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    for folder in (options.train, options.test):
        if not folder.is_dir():
            parser.error(f"there is no folder {folder}")
    if unknown := set(options.names) - set(known):
        parser.error(f"there is no model {', '.join(unknown)}: choose from {', '.join(known)}")
    for name in options.names or known:
        make(name, options.train, options.test, options.out, options.jobs)


if __name__ == "__main__":
    main()
