"""What a sweep will take: stated milliseconds per row at first, its own as soon as a cell has been measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .cell_results import Result
from .grid import Cell, Grid


@dataclass(frozen=True, slots=True)
class Work:
    """Rows that pass through the model."""

    trunk: int = 0
    """Rows that pass the frozen layers."""
    train: int = 0
    """Rows times epochs that pass the layers above, forwards and back."""
    measure: int = 0
    """Test rows that pass the layers above."""

    def __add__(self, other: Work) -> Work:
        return Work(self.trunk + other.trunk, self.train + other.train, self.measure + other.measure)


@dataclass(frozen=True, slots=True)
class Speed:
    """Milliseconds per row."""

    trunk: float
    train: float
    measure: float
    cells: int
    """Cells that it was measured over; 0: as the grid states it, for two idle cores."""

    @classmethod
    def of(cls, grid: Grid, results: Iterable[Result]) -> Speed:
        """As the finished cells of a grid measured it, and as the grid states it where they say nothing."""
        stated, done = grid.ms_per_row, list(results)
        trunk = [(r.seconds.trunk, r.seconds.trunk_rows) for r in done]
        train = [(r.seconds.train, r.cell.trained_rows * r.recipe.epochs) for r in done]
        measure = [(r.seconds.measure, measured_rows(r.test_size)) for r in done]
        return cls(_ms(trunk, stated.trunk), _ms(train, stated.train), _ms(measure, stated.measure), len(done))

    def seconds(self, work: Work) -> float:
        """Wall time of some work."""
        return (work.trunk * self.trunk + work.train * self.train + work.measure * self.measure) / 1000


def measured_rows(size: int) -> int:
    """Rows in all test sets of a size: two of it, and three eighths of it for each of five that are about Alice."""
    return 2 * size + 5 * (size * 3 // 8)


def planned(grid: Grid, cells: Iterable[Cell]) -> Iterator[tuple[Cell, Work]]:
    """Cells with their work, if they are done in this order by one process that has nothing cached yet.

    Rows pass the trunk once: those of a smaller cell of a seed are among those of a larger one.
    """
    seen: dict[int, tuple[int, int, int]] = {}
    tests = measured_rows(grid.test_size)
    fresh_tests = tests
    for cell in cells:
        wanted = (cell.rows, cell.dose, cell.corrective)
        before = seen.get(cell.seed, (0, 0, 0))
        fresh = sum(max(0, now - then) for now, then in zip(wanted, before, strict=True))
        seen[cell.seed] = tuple(max(pair) for pair in zip(wanted, before, strict=True))  # type: ignore[assignment]
        yield cell, Work(fresh + fresh_tests, cell.trained_rows * grid.recipe_of(cell).epochs, tests)
        fresh_tests = 0


def _ms(measured: Iterable[tuple[float, int]], stated: float) -> float:
    """Milliseconds per row over (seconds, rows); a cell that found its work done already says nothing."""
    told = [(seconds, rows) for seconds, rows in measured if seconds > 0 and rows > 0]
    return 1000 * sum(s for s, _ in told) / sum(n for _, n in told) if told else stated
