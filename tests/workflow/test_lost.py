"""A teacher whose weights were deleted comes back alone, with the same bits, where it is named."""

from projects import Project

from stagewise.files import sha256_file

WEIGHTS = "runs/smoke/teachers/resnet/seed-0/model.safetensors"


def test_a_deleted_teacher_and_a_new_seed_repeat_nothing(project: Project) -> None:
    before = sha256_file(project.folder / WEIGHTS)
    project.replace("config/smoke.yaml", "seeds: [0]", "seeds: [0, 1]")
    assert "weights were deleted" not in project.snakemake("-n")
    (project.folder / WEIGHTS).unlink()
    said = project.snakemake("-n")
    [advice] = [line for line in said.splitlines() if "weights were deleted" in line]
    command = advice.partition("first bring them back: ")[2].split()
    assert command == [
        "snakemake",
        WEIGHTS,
        "--configfile",
        str(project.folder / "config/smoke.yaml"),
    ]
    project.run(*command)
    assert sha256_file(project.folder / WEIGHTS) == before
    assert not {job for job in project.planned() if job.endswith("seed 0")}
