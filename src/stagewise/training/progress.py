"""What a run says while it trains: a plain line per validation in its log, and on a terminal one
line that is rewritten in place."""

import sys
import time
from pathlib import Path
from typing import Any


class Progress:
    """``title`` names the run ("37/259 distillation/resnet.kd seed 3")."""

    def __init__(self, title: str, epochs: int, log: Path | None = None) -> None:
        self.title, self.epochs = title, epochs
        self.log = log
        self.live = sys.stderr.isatty()
        self.started, self.first_epoch, self.shown = time.monotonic(), 0, 0.0

    def resume(self, epoch: int) -> None:
        """Start counting from an epoch that an earlier process reached."""
        self.first_epoch = epoch
        self.line(f"resumes after epoch {epoch}")

    def line(self, text: str) -> None:
        """One plain line in the log (on stdout where there is none)."""
        if self.log is None:
            print(f"{self.title}: {text}", flush=True)
        else:
            with self.log.open("a", encoding="utf-8") as stream:
                stream.write(f"{self.title}: {text}\n")

    def epoch(self, row: dict[str, Any]) -> None:
        """Report a finished epoch, given its history row."""
        done = row["epoch"]
        seconds = time.monotonic() - self.started
        left = seconds / max(1, done - self.first_epoch) * (self.epochs - done)
        text = f"epoch {done}/{self.epochs}  loss {row['train_loss']:.4f}"
        if row["validation_accuracy"] is not None:
            text += f"  validation {row['validation_accuracy']:.2f} %"
            self.line(f"{text}  {seconds:.1f} s")
        now = time.monotonic()
        if self.live and (now - self.shown > 0.2 or done == self.epochs):
            self.shown = now
            minutes, rest = divmod(int(left), 60)
            sys.stderr.write(f"\r\x1b[K{self.title}  {text}  {minutes}:{rest:02d} left")
            sys.stderr.write("\n" if done == self.epochs else "")
            sys.stderr.flush()
