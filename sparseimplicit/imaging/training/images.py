"""Images in one process: their problems, states and adjoints, visited by one θ after another."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from ...errors import NotConverged, NotPositiveDefinite, SingularSystem, SparseImplicitError
from ...hypergradient import Hypergradient, checked_loss, hypergradient
from ...implicit import ImplicitFunction, SolvedState, Start
from ...outer import Work
from ..data import psnr
from ..models import Model
from .examples import Example, loss_of_image
from .visits import Answer, Kept, Visit, read_kept, write_kept

# Problems are made once for as many pixels as this: some 100 bytes each. Beyond, they are made at
# every visit, which costs a hundredth of it.
HELD_PIXELS: Final = 4_000_000
CLOSER: Final = (1e-1, 1e-3)  # of the accuracy wanted, where no other state would do


@dataclass(frozen=True, eq=False)
class Seated:
    """What one process answers of its images: with the seconds that writing states took.

    kept: the new states, where they are asked for.
    """

    answers: list[Answer]
    writing: float = 0.0
    kept: dict[int, Kept] = field(default_factory=dict)


class Images:
    """Some of the images of a training run, with what each has kept from its last visit.

    Parameters
    ----------
    model : Model
    examples : mapping of int to Example
    linear_solver : str or None
        None takes what the model says.
    folder : path or None
        Where states are written to at every visit, and read from where this process has not got
        them: after a resume, or in the place of a process that has died.
    kept : mapping of int to (str, Kept)
        States to begin with, and the names under which they were saved.
    """

    def __init__(
        self,
        model: Model,
        examples: Mapping[int, Example],
        linear_solver: str | None = None,
        folder: Path | None = None,
        kept: Mapping[int, tuple[str, Kept]] | None = None,
    ) -> None:
        self.model, self.examples = model, examples
        self.linear_solver, self.folder = linear_solver, folder
        self._kept: dict[int, tuple[str, Kept]] = dict(kept or {})
        self._implicits: dict[int, ImplicitFunction] = {}
        self._pixels = 0

    def answer(
        self,
        visit: Visit,
        examples: Sequence[int],
        places: Mapping[int, str],
        save: str,
        back: bool = False,
    ) -> Seated:
        """Visit images one by one.

        Parameters
        ----------
        places : mapping
            The name under which each image's state was saved last; none for a first visit.
        save : str
            The name under which the new states are saved.
        back : bool
            Return the states too.

        Raises
        ------
        NotConverged, NotPositiveDefinite, SingularSystem
            Also from the first guess; with the name of the image.
        ConfigError
            If the states cannot be read or written.
        """
        notes = self._fetch(examples, places)
        answers = []
        new: dict[int, Kept] = {}
        for i in examples:
            answer, new[i] = self._visit(i, visit, notes.get(i, ()))
            answers.append(answer)
        started = time.perf_counter()
        if self.folder is not None and save:
            write_kept(self.folder / f"{save}.npz", new)
        if save:
            self._kept.update({i: (save, kept) for i, kept in new.items()})
        writing = time.perf_counter() - started
        kept = {i: one.bare() for i, one in new.items()} if back and save else {}
        return Seated(answers, writing, kept)

    def _fetch(
        self, examples: Sequence[int], places: Mapping[int, str]
    ) -> dict[int, tuple[str, ...]]:
        """Read states that this process lacks; return what is to be said of those it cannot."""
        lost: dict[str, list[int]] = {}
        for i in examples:
            if i in places and (i not in self._kept or self._kept[i][0] != places[i]):
                lost.setdefault(places[i], []).append(i)
        if self.folder is None:
            gone = [i for several in lost.values() for i in several if i not in self._kept]
            return dict.fromkeys(gone, ("its state was lost: made anew from the first guess",))
        for place, several in lost.items():
            for i, kept in read_kept(self.folder / f"{place}.npz", several).items():
                self._kept[i] = (place, kept)
        return {}

    def _visit(self, i: int, visit: Visit, notes: tuple[str, ...]) -> tuple[Answer, Kept]:
        example = self.examples[i]
        anew = Kept(Start(self.model.first_guess(example.observed)), None)
        # Near a saddle a loose state has directions of negative curvature; a close one has left it.
        # It may be out of reach where the Hessian is nearly singular: by and by.
        tries = [(anew, visit, "begun anew from the first guess")]
        for part in CLOSER:
            closer = replace(visit, rtol=part * visit.rtol)
            tries.append((anew, closer, f"begun anew, to {closer.rtol:.0e}"))
        if i in self._kept:
            tries.insert(0, (self._kept[i][1], visit, "from its last state"))
        try:
            for (start, how, told), (*_, then) in pairwise(tries):
                try:
                    return self._solve(i, how, start, notes)
                except (NotConverged, NotPositiveDefinite, SingularSystem) as error:
                    notes = (*notes, f"{told}: {type(error).__name__}; {then}")
            start, how, _ = tries[-1]
            return self._solve(i, how, start, notes)
        except SparseImplicitError as error:
            raise error.at(f"image {i}, '{example.name}'") from error.__cause__

    def _solve(
        self, i: int, visit: Visit, kept: Kept, notes: tuple[str, ...]
    ) -> tuple[Answer, Kept]:
        example, started = self.examples[i], time.perf_counter()
        implicit = self._implicit(i)
        solved = implicit.solve(visit.theta, start=kept.start, rtol=visit.rtol)
        forward = time.perf_counter() - started
        loss = loss_of_image(example, self.model.image, solved.y.size)
        h: Hypergradient | None = None
        if visit.gradient:
            h = hypergradient(
                loss, solved, rtol=visit.rtol, estimate_error=visit.error, start=kept.adjoint
            )
        value = h.value if h else checked_loss(loss, solved.x, solved.y)[0]
        image = self.model.image(solved.y, example.observed.shape)
        answer = Answer(
            example=i, value=value, psnr=psnr(image, example.truth),
            work=_work(h, solved, time.perf_counter() - started),
            seconds=_seconds(h, forward),
            linear_solver=solved.report.linear_solver,
            gradient=h.gradient if h else None, error=h.error if h else None,
            denoised=image.copy() if visit.image else None, notes=notes,
        )  # fmt: skip
        return answer, Kept(solved.handover(), h.adjoint if h else kept.adjoint)

    def _implicit(self, i: int) -> ImplicitFunction:
        if i in self._implicits:
            return self._implicits[i]
        observed = self.examples[i].observed
        # No reuse that depends on measured times: the same bits, whenever and wherever it runs.
        implicit = ImplicitFunction(
            self.model.problem(observed),
            self.linear_solver or self.model.solver_for(observed),
            reuse=False,
        )
        if self._pixels + observed.image.size <= HELD_PIXELS:
            self._implicits[i] = implicit
            self._pixels += observed.image.size
        return implicit


def _work(h: Hypergradient | None, solved: SolvedState, seconds: float) -> Work:
    if h is not None:
        return Work.of(h, seconds)
    state = solved.report
    return Work(
        state_solves=1, newton_iterations=state.iterations,
        linear_iterations=state.linear_iterations, analyses=state.analyses,
        factorizations=state.factorizations, state_residual=state.residual_relative,
        seconds=seconds,
    )  # fmt: skip


def _seconds(h: Hypergradient | None, forward: float) -> dict[str, float]:
    if h is None:
        return {"forward": forward, "adjoint": 0.0, "contraction": 0.0}
    prepared = 0.0 if h.report.preparation is None else sum(h.report.preparation.seconds.values())
    adjoint = h.report.adjoint.seconds + prepared
    rest = max(h.report.seconds - adjoint, 0.0)  # the estimate of the error, too, where it is made
    return {"forward": forward, "adjoint": adjoint, "contraction": rest}


def summed(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    """Add up seconds by name."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: float(np.sum([part.get(name, 0.0) for part in parts])) for name in names}
