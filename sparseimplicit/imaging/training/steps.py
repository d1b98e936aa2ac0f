"""What a step of training says of itself: for the history, the log, and the checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...outer import Work
from ...report import Report


@dataclass(frozen=True, kw_only=True)
class Step(Report):
    """One evaluation by L-BFGS-B, or one step of Adam.

    Attributes
    ----------
    step : int
        Number, from 1, over all stages; 0 is the start, where there is no gradient.
    stage, in_stage, method : int, int, str
        Number of the stage, from 0; steps of it so far, this one included.
    images : int
    value : float
        Σ ½‖u − truth‖² / pixels over these images, and the regularisers, at θ before the step.
    gradient_norm : float or None
        None at the start, where none is computed.
    gradient_error : float or None
        Bound on ‖gradient − exact‖, to first order: the errors of all images added up. Where it
        was estimated.
    rtol : float
        Of state and adjoint solves.
    psnr : float
        Mean over these images, dB.
    validation : float or None
        Mean PSNR over the images held out, dB, at θ after a step of Adam, or of the evaluation.
    best : bool
        θ is the best so far.
    stops : bool
        The stage ends here: no progress on the images held out.
    work : Work
    seconds : dict
        ``forward``, ``adjoint``, ``contraction``, ``waiting``, ``writing``: added up over
        processes; ``wall``.
    notes : tuple of str
        What did not go as usual.
    """

    step: int
    stage: int
    in_stage: int
    method: str
    images: int
    theta_mean: float
    value: float
    gradient_norm: float | None
    gradient_error: float | None
    rtol: float
    psnr: float
    validation: float | None = None
    best: bool = False
    stops: bool = False
    work: Work
    seconds: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, record: dict[str, Any]) -> Step:
        """Return the step that `to_dict` told."""
        return cls(**record | {"work": Work(**record["work"]), "notes": tuple(record["notes"])})
