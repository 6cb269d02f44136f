"""What a run says while it trains: a plain line per evaluation on stdout (its log), and on a
terminal one line that is rewritten in place."""

import time
from contextlib import suppress
from typing import Any

from stagewise.process.terminal import terminal


class Progress:
    """``title`` names the run ("[37/259] distillation/resnet.kd seed 3")."""

    def __init__(self, title: str, epochs: int, live: bool = False) -> None:
        self.title, self.epochs = title, epochs
        self.terminal = terminal() if live else None
        self.started, self.first_epoch, self.shown = time.monotonic(), 0, 0.0

    def resume(self, epoch: int) -> None:
        """Start counting from an epoch that an earlier process reached."""
        self.first_epoch = epoch
        print(f"{self.title}: goes on after epoch {epoch}", flush=True)

    def epoch(self, row: dict[str, Any], *, due: bool) -> None:
        """Report a finished epoch, given its history row; ``due``: with its accuracy, on
        validation or, where no images are held out, in training."""
        done = row["epoch"]
        now = time.monotonic()
        seconds = now - self.started
        text = f"epoch {done}/{self.epochs}  loss {row['train_loss']:.4f}"
        if due:
            held_out = row["validation_accuracy"] is not None
            name = "validation" if held_out else "train"
            text += f"  {name} {row[f'{name}_accuracy']:.2f} %"
            print(f"{self.title}: {text}  {seconds:.1f} s", flush=True)
        if self.terminal and (now - self.shown > 0.2 or done == self.epochs):
            self.shown = now
            left = seconds / max(1, done - self.first_epoch) * (self.epochs - done)
            minutes, rest = divmod(round(left), 60)
            end = "\n" if done == self.epochs else ""
            with suppress(OSError):  # the terminal may have been closed
                self.terminal.write(f"\r\x1b[K{self.title}  {text}  {minutes}:{rest:02d} left{end}")
                self.terminal.flush()
