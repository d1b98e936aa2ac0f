"""What the doctor says of a matrix: findings, in print and as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import SparseImplicitError
from .nullspace import NullSpace


@dataclass(frozen=True)
class Finding:
    """One thing found. severity: ``"error"``, ``"warning"`` or ``"note"``.

    raises : what solvers raise for it, where it is an error.
    """

    severity: str
    what: str
    fix: str = ""
    raises: type[SparseImplicitError] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain values."""
        return vars(self) | {"raises": None if self.raises is None else self.raises.__name__}


@dataclass(frozen=True)
class Diagnosis:
    """All that was found of a matrix; ``str()`` is a report, the worst first.

    examined: whether all was looked at that can be. condition: of the matrix with rows and columns
    of like size, a bound from below, where measured.
    """

    subject: str
    findings: tuple[Finding, ...]
    examined: bool = True
    condition: float | None = None
    null_space: NullSpace | None = None

    @property
    def sound(self) -> bool:
        """Whether no error was found."""
        return all(finding.severity != "error" for finding in self.findings)

    def __str__(self) -> str:
        """Return the report."""
        lines = [self.subject]
        if self.condition is not None:
            lines.append(
                f"  condition number ≥ {self.condition:.2g} (rows and columns of like size)"
            )
        order = ("error", "warning", "note")
        for finding in sorted(self.findings, key=lambda f: order.index(f.severity)):
            lines.append(f"  {finding.severity}: {finding.what}")
            if finding.fix:
                lines.append(f"    fix: {finding.fix}")
        if self.sound:
            doubt = not self.examined or any(f.severity == "warning" for f in self.findings)
            lines.append("  no error was found" if doubt else "  nothing is wrong with it")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis as plain values."""
        return {
            "subject": self.subject,
            "sound": self.sound,
            "examined": self.examined,
            "condition_at_least": self.condition,
            "null_dimension": None if self.null_space is None else self.null_space.dimension,
            "findings": [finding.to_dict() for finding in self.findings],
        }
