"""What a method's file declares of itself; planning reads it without importing the file."""

from dataclasses import dataclass, fields

from stagewise.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a method needs beyond the student's logits (``NEEDS`` of its file).

    ``teacher``: the teacher's logits; ``teacher_pooled``: its pooled vectors too (a table can keep
    both); ``teacher_taps``: its feature maps, so it answers every batch anew. ``blocks``: taps of
    every residual block of student and teacher. ``same_channels``: a teacher whose stem and stages,
    counted from the deepest, have the student's channels. ``exits``: exits on the student.
    ``teacher_part``: the method that is trained on the frozen teacher first, by a run of its own
    under ``teachers/``; what that run leaves answers as the teacher. ``views``: images that its
    ``views`` makes of each image. ``kept``: float32 numbers that it keeps of each training image;
    ``compared``: those that a step holds for each image of the batch and each training image.

    Raises:
        UserError: a value is of the wrong type, or asks of a teacher that is not asked for.
    """

    teacher: bool = False
    teacher_pooled: bool = False
    teacher_taps: bool = False
    blocks: bool = False
    same_channels: bool = False
    exits: bool = False
    teacher_part: str = ""
    views: int = 1
    kept: int = 0
    compared: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not type(field.default):
                kind = type(field.default).__name__
                raise UserError(f"NEEDS: {field.name} is {value!r}; give a value of type {kind}")
        if self.views < 1 or self.kept < 0 or self.compared < 0:
            raise UserError("NEEDS: views is at least 1, kept and compared at least 0")
        of_teacher = (self.teacher_pooled, self.teacher_taps, self.teacher_part, self.same_channels)
        if any(of_teacher) and not self.teacher:
            raise UserError("NEEDS: it asks for what a teacher has; add teacher=True")

    @property
    def live_teacher(self) -> bool:
        """Whether the teacher answers every batch anew: no table holds what the method asks for."""
        return self.teacher_taps or self.blocks or self.views > 1

    @property
    def remembers(self) -> bool:
        """Whether the method knows training images by their number."""
        return self.kept > 0
