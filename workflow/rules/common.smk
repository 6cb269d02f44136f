import gc
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

try:  # not `workflow.basedir`: another Snakefile may include this one
    ROOT = Path(workflow.current_basedir).parents[1]
except TypeError:
    raise WorkflowError(
        "Stagewise runs in a clone of its repository, which holds its library and scripts:"
        " git clone it, then type snakemake there"
    ) from None

# A clone, or DVC's temporary copy, runs its own library, whatever environment is active.
sys.path.insert(0, str(ROOT / "src"))
PYTHONPATH = [sys.path[0], *filter(None, [os.environ.get("PYTHONPATH")])]
os.environ.update(PYTHONPATH=os.pathsep.join(PYTHONPATH))

from stagewise.errors import UserError
from stagewise.files import canonical_json, require_room, sha256_text
from stagewise.study.images import data_size
from stagewise.study.lost import lost_weights
from stagewise.study.matching import match_key, matches
from stagewise.process.family import VARIABLE as PARENT
from stagewise.process.machine import default_device, has_bfloat16
from stagewise import catalogue
from stagewise.analysis.figures.captions import caption
from stagewise.study.config import load_yaml, resolve_config
from stagewise.study.config.source import (
    prepare_settings,
    raw_file,
    source_fact,
    source_options,
)
from stagewise.study.fingerprint import fingerprint
from stagewise.study.gradcam import compared
from stagewise.study.memory import USUAL_MB, memory_mb
from stagewise.study.plan import make_plan
from stagewise.study.planned import STEPS, run_path
from stagewise.study.regimes import given_folder
from stagewise.study.warnings import find_warnings
from stagewise.process.warm import VARIABLE

# A plan is many small objects that all stay: collecting them costs and frees nothing.
gc.disable()

CONFIG_NAME = " + ".join(map(str, workflow.configfiles)) or "config"
# Relative, so that the rules read the same in every clone.
SCRIPTS = os.path.relpath(ROOT / "scripts")

try:
    if workflow.is_main_process:  # for its own marks: it would end in a traceback
        require_room(".snakemake", 50_000)
    for path in workflow.configfiles:
        load_yaml(
            path
        )  # Snakemake's own reader keeps the last of a repeated key silently
    PLAN = make_plan(resolve_config(config, CONFIG_NAME), CONFIG_NAME)
    DEVICE = default_device()
except UserError as error:
    raise WorkflowError(str(error)) from None
if workflow.is_main_process:
    for line in find_warnings(PLAN):
        print(f"warning: {CONFIG_NAME}: {line}", file=sys.stderr)
    if PLAN.config.training.dtype == "bfloat16" and not has_bfloat16():
        print(
            f"warning: {CONFIG_NAME}: training.dtype: this processor has no bfloat16;"
            " float32 is faster here",
            file=sys.stderr,
        )

# Typed for this file, plain for what is written down and for the analysis, which reads no more.
SETTINGS, PLAIN = PLAN.config, PLAN.config.as_dict()
os.environ.update(STAGEWISE_TABLE_GB=str(SETTINGS.table.max_gb))
STUDY = SETTINGS.study
POSITION = {path: number for number, path in enumerate(PLAN.runs, start=1)}

LOST = lost_weights({path: run.parents.values() for path, run in PLAN.runs.items()})
if LOST and workflow.is_main_process:
    print(
        f"warning: {CONFIG_NAME}: weights were deleted that finished runs learned from and new ones"
        f" wait for; to repeat none, first bring them back: snakemake {' '.join(LOST)}"
        f" --configfile {shlex.join(map(str, workflow.configfiles))}",
        file=sys.stderr,
    )


def require_fits():
    """Raises where a method does not fit its networks; what was found to fit is not built again."""
    found = matches(PLAN)
    if not (found or PLAN.given()):
        return
    try:
        data_size(SETTINGS, Path(f"data/{STUDY}/summary.json"))
    except UserError:  # nobody knows the images' size yet: a run's start will tell
        return
    named = {name for run in found for name in run.spec.modules()}
    code = fingerprint(ROOT / "scripts" / "fits.py", *sorted(named))
    mark = f"work/fits/{match_key(PLAN, found)[:16]}-{code}"
    if os.path.exists(mark):
        return
    command = [sys.executable, f"{SCRIPTS}/fits.py", "--name", CONFIG_NAME]
    command += ["--settings", canonical_json(PLAIN), "--out", mark]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise WorkflowError(done.stderr.removeprefix("error: ").strip())


if workflow.is_main_process:
    require_fits()

IMAGE = "stagewise.sif"
IN_CONTAINER = (
    DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
)
if IN_CONTAINER and not os.path.exists(IMAGE):
    raise WorkflowError(f"{IMAGE}: the container is not here; make it: make container")

# A job dies with its Snakemake, however that ends: no orphan writes beside its successor.
# `exec`, because the signal follows the direct parent; a prefix is no part of a rule's code.
if shutil.which("setpriv"):
    shell.prefix("set -euo pipefail; exec setpriv --pdeathsig KILL ")
    # A job looks for its Snakemake once, in case that ended first; in a container it cannot.
    if not IN_CONTAINER:
        os.environ[PARENT] = str(os.getpid())

# The device is no setting of a study: it is the machine's. A job asks for a GPU only where it has one.
GPUS = int(DEVICE.startswith("cuda"))


def names_of(step, probed, part=""):
    """Pattern of a step's runs that log gradient shock, and leave one more file, or do not; of
    those with ``part`` in their names."""
    runs = [run for run in PLAN.step(step) if bool(run.spec.observers) == probed]
    return "|".join(sorted({re.escape(run.name) for run in runs if part in run.name}))


PROBED_RECOVERIES = names_of("recovery", True)
UNPROBED = {
    "students": names_of("students", False, ".pretrained"),
    "two_stage": names_of("two_stage", False),
}


SOURCE = SETTINGS.data.source
SOURCE_OPTIONS = source_options(SETTINGS)
RAW = raw_file(SETTINGS)
FOLDERS = source_fact(SETTINGS, "FOLDERS") or {}

for key, folder in FOLDERS.items():
    if not (os.path.isdir(folder) or os.path.exists(RAW)):
        raise WorkflowError(
            f"{CONFIG_NAME}: data.{key}: '{folder}' is no folder; correct it"
        )


# Every training step is called the same way. An edit of this text retrains everything.
TRAIN = (
    f"python {SCRIPTS}/train.py"
    " {params.arguments} --data {input.data} --work work/$(dirname {output.record})"
    " --device {resources.device} --budget={resources.budget} --title {resources.title:q}"
    " --live > {log} 2>&1"
)


WARM_FROM = 3
WARM = []


def warm_up():
    """Start a process whose forks are the training jobs of this machine, if there are several."""
    jobs = [job for job in workflow.dag.needrun_jobs() if "title" in job.rule.resources]
    if workflow.local_exec and len(jobs) >= WARM_FROM and shutil.which("setpriv"):
        os.environ[VARIABLE] = "work/warm.socket"
        server = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", sys.executable, f"{SCRIPTS}/warm.py"]
            + ["--socket", os.environ[VARIABLE]]
        )
        WARM.append(server)


def cool_down():
    """End that process, and wait for it: its CPU time is part of the study's."""
    for server in WARM:
        server.kill()  # even where it is stopped
        server.wait()
        Path(os.environ[VARIABLE]).unlink(missing_ok=True)


LAST_RULES = ("write_report", "choose_rates")


def whole_study(jobs):
    """Whether a study's last step is among some jobs."""
    return any(job.rule.name in LAST_RULES for job in jobs)


def make_partial():
    """Where runs failed and all others are done: results of what is there, beside the results.

    Not where this was interrupted, or stopped at the first failure: jobs are left over then.
    """
    scheduler = workflow.scheduler
    if scheduler.running or set(scheduler.open_jobs):
        return
    failed = [
        job.output.record for job in scheduler.failed if "record" in job.output.keys()
    ]
    if not (failed and whole_study(workflow.dag.needrun_jobs())):
        return
    command = [
        sys.executable,
        f"{SCRIPTS}/partial.py",
        "--settings",
        canonical_json(PLAIN),
    ]
    command += ["--logs", f"logs/{STUDY}", "--out", results("partial")]
    command += ["--failed", *sorted(str(Path(record).parent) for record in failed)]
    print("Runs failed; making results of the others", file=sys.stderr)
    done = subprocess.run(command, capture_output=True, text=True)
    said = (done.stderr if done.returncode else done.stdout).splitlines()
    print(*said[-1:], file=sys.stderr)


def forget_partial():
    """Remove the results of a part when there are those of the whole."""
    if whole_study(workflow.dag.jobs):
        shutil.rmtree(results("partial"), ignore_errors=True)


wildcard_constraints:
    name="[^/]+",
    seed="[0-9]+",


def results(name):
    """A file of the study's results."""
    return f"results/{STUDY}/{name}"


def packaged(name):
    """A data file of the library, relative like the scripts."""
    return os.path.relpath(ROOT / "src/stagewise" / name)


def code(script, *modules):
    """Fingerprint of what a script and the modules that it imports do."""
    return fingerprint(ROOT / "scripts" / script, *modules)


def planned(step):
    """A function from wildcards to the planned run of a step."""

    def run(wildcards):
        return PLAN.runs[run_path(STUDY, f"{step}/{wildcards.name}", wildcards.seed)]

    return run


def weights(run):
    """The weights of a run's parents by role."""
    return {role: f"{path}/model.safetensors" for role, path in run.parents.items()}


def inputs(step):
    """Input function: the data, and the weights of the run's parents by role."""
    planned_run = planned(step)

    def files(wildcards):
        data = f"data/{STUDY}/prepared.safetensors"
        return {"data": data, **weights(planned_run(wildcards))}

    return files


def listing(wildcards):
    """Fingerprint of the user's own images; where a folder is gone, of those that are stored."""
    if not FOLDERS:
        return ""
    from stagewise.data.making import present_listing

    return present_listing(SETTINGS)


GIVEN = PLAN.given()


def own_file(wildcards):
    """The user's file with a teacher's weights; none where torchvision's are fetched."""
    teacher = GIVEN[given_folder(STUDY, wildcards.pair)]
    return [] if teacher.hosted else os.path.expanduser(teacher.weights)


def run_files(step, *more):
    """Outputs of a step: what a run's folder holds."""
    names = ("model.safetensors", "record.json", "logits.npz", *more)
    folder = f"runs/{STUDY}/{step}/{{name}}/seed-{{seed}}"
    return {Path(name).stem: f"{folder}/{name}" for name in names}


def log_file(step):
    """Log of a step's runs."""
    return f"logs/{STUDY}/{step}/{{name}}.seed-{{seed}}.log"


def run_params(step, script):
    """Params of a step, one text because planning pays for each: exactly the settings that a run
    uses, the fingerprint of its code, the files of its parents, its folder.

    A function of wildcards alone: what depends on ``input`` Snakemake leaves out of its comparison.
    """
    planned_run = planned(step)

    def arguments(wildcards):
        run = planned_run(wildcards)
        spec = canonical_json(run.spec.written())
        given = {"spec": spec, "code": code(script, *run.spec.modules())}
        given |= {**weights(run), "out": run.path}
        return " ".join(
            f"--{name} {shlex.quote(value)}" for name, value in given.items()
        )

    return {"arguments": arguments}


def budget(wildcards, input, attempt, threads, rulename, async_run):
    """Time after which training stops, saved: the job's `runtime` (its time limit on a cluster)
    less a tenth, at least two minutes but never more than half. Without a limit: none.
    """
    limit = workflow.get_rule(rulename).resources.get("runtime")
    given = {"input": input, "attempt": attempt, "threads": threads}
    given |= {"rulename": rulename, "async_run": async_run}
    minutes = limit and limit.evaluate(wildcards, **given).value
    if not minutes:
        return ""
    return f"{round(60 * minutes - min(30 * minutes, max(120, 6 * minutes)))}s"


def job(step):
    """Resources of a step: what may differ from start to start without rerunning anything."""

    def title(wildcards):
        run = planned(step)(wildcards)
        return f"[{POSITION[run.path]}/{len(PLAN.runs)}] {run.arm} seed {run.seed}"

    return {
        "gpu": GPUS,
        "device": DEVICE,
        "title": title,
        "budget": budget,
        "mem_mb": memory(step),
    }


def memory(step):
    """What the step's methods hold of the images, beside the usual."""
    found = memory_mb(PLAN, PLAN.step(step), Path(f"data/{STUDY}/summary.json"))
    planned_run = planned(step)
    more = lambda wildcards: found.get(planned_run(wildcards).path, USUAL_MB)
    return more if found else USUAL_MB


def threads_of(step):
    """As many threads as the step's runs compute with."""
    runs = PLAN.step(step)
    return max((run.spec.training.threads for run in runs), default=1)


# A run's files are made together, so its record stands for all of them: planning pays for each file.
# Long lists are input functions, because Snakemake's time for a plain list grows with its square.
def records(*steps):
    """Input function: the records of all runs of some steps."""
    return lambda wildcards: [f"{run.path}/record.json" for run in PLAN.step(*steps)]


def first_models(wildcards):
    """Input function: the weights of the first run of every arm."""
    first = {run.arm: run for run in reversed(PLAN.runs.values())}
    return [f"{run.path}/model.safetensors" for run in first.values()]


COMPARED = compared(PLAN)


def compared_models(wildcards):
    """Input function: the weights of the networks whose Grad-CAM maps are compared."""
    paths = dict.fromkeys([*COMPARED, *COMPARED.values()])
    return [f"{path}/model.safetensors" for path in paths]


# A target is searched for first; its candidates, laid over the config, are then trained.
SEARCHED = not SETTINGS.target or bool(SETTINGS.target.candidates)
CANDIDATES = results("candidates.csv") if SETTINGS.target else []
WITH_CANDIDATES = f"--candidates {CANDIDATES}" if CANDIDATES else ""


def final_files():
    """What a study ends with: its report, or a tuning study's choice, or a target's candidates."""
    if not SEARCHED:
        return [results("search.yaml")]
    if SETTINGS.tune:
        return [results(f) for f in ("choice.csv", "learning_rates.yaml", "wider.yaml")]
    more = [results("equivalence.csv")] if SETTINGS.equivalence else []
    more += [results("ship/ship.json")] if SETTINGS.target else []
    return [results("report.html"), *more]


def other_summary(wildcards):
    """Input function: the summary of the study that this one is compared with."""
    other = f"results/{SETTINGS.equivalence.study}/summary.csv"
    if not os.path.exists(other):
        raise WorkflowError(
            f"{CONFIG_NAME}: equivalence.study: {other} is not there; run that study first"
        )
    return other


# Claims of the study's own are no part of the plan: a change of them touches verdicts alone.
OWN_CLAIMS = (
    f"--own {shlex.quote(canonical_json(PLAIN['claims']))}"
    if PLAIN.get("claims")
    else ""
)


# A function, because claims name arms of any `{pair}`, and Snakemake would look for such a wildcard.
def own_claims(wildcards):
    return OWN_CLAIMS


# Figure → what it is drawn from beside the summary; the others are untouched by a change of it.
FIGURE_DATA = {
    "differences": packaged("papers/claims.yaml"),
    "order": packaged("papers/published_values.csv"),
    "speed": results("latency.csv"),
    "thresholds": results("latency.csv"),
    "target": CANDIDATES,
}


def figure_data(wildcards):
    return FIGURE_DATA.get(wildcards.figure, [])


def figure_options(wildcards):
    latency = f"--latency {results('latency.csv')}"
    options = {
        "differences": OWN_CLAIMS,
        "speed": latency,
        "thresholds": latency,
        "target": WITH_CANDIDATES,
    }
    return options.get(wildcards.figure, "")
