"""Where a run's CPU time goes, that of processes that were stopped too."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class CpuClock:
    """CPU seconds of this process, from its start, and of those before it, by activity; nested
    activities count alone."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._activity, self._since = "start_up", 0.0

    @contextmanager
    def __call__(self, activity: str) -> Iterator[None]:
        """Charge the block to ``activity``."""
        outer = self._switch(activity)
        try:
            yield
        finally:
            self._switch(outer)

    def ready(self) -> None:
        """The start-up is over; what belongs to no activity is the rest."""
        self._switch("rest")

    def add(self, earlier: Mapping[str, float]) -> None:
        """What processes before this one took."""
        for name, seconds in earlier.items():
            self.seconds[name] += seconds

    def rounded(self) -> dict[str, float]:
        """Seconds by activity until now."""
        self._switch(self._activity)
        return {name: round(seconds, 3) for name, seconds in sorted(self.seconds.items())}

    def _switch(self, activity: str) -> str:
        now, outer = time.process_time(), self._activity
        self.seconds[outer] += now - self._since
        self._activity, self._since = activity, now
        return outer
