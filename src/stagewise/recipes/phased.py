"""MSKD's phased training: a phase for each exit, from the shallowest (Appl. Sci. 2022, 12:9453).

The paper calls it recursive: stages that were trained go on being trained with those behind them.
Only its bullets and the frame of its algorithm are available, so this is a reconstruction. Phase i
trains the stages and heads up to exit i by the sum of their losses; what lies deeper does not run,
so its weights and batch norm stay. K phases share the epochs, so a run has as many steps as one of
``one_stage``.
"""

from stagewise.errors import UserError
from stagewise.models.features import Paths
from stagewise.recipes.base import Phase


def phases(
    epochs: int, lr: float, paths: Paths, *, freeze: bool = False, restart: bool = True
) -> list[Phase]:
    """A phase for each of ``paths``, the parts that lead to each exit; all take ``epochs``.

    ``freeze``: what an earlier phase trained stands still, batch norm too, and its exits do not
    run. ``restart``: each phase has the run's whole schedule; else one goes through all of them.

    Raises:
        UserError: there are fewer epochs than exits.
    """
    count = len(paths)
    if epochs < count:
        raise UserError(
            f"recipe 'phased': {epochs} epochs cannot make a phase for each of {count} exits; give"
            f" at least {count}"
        )
    ends = [epochs * number // count for number in range(count + 1)]
    found = []
    for number, path in enumerate(paths, 1):
        before = [part for earlier in paths[: number - 1] for part in earlier]
        parts = [part for part in path if part not in before] if freeze else [*before, *path]
        found.append(
            Phase(
                f"exit {number}",
                ends[number] - ends[number - 1],
                lr,
                trains=(*dict.fromkeys(parts), "method"),
                exits=path[-1:] if freeze else None,
                schedule_start=0 if restart else ends[number - 1],
                schedule_epochs=None if restart else epochs,
            )
        )
    return found
