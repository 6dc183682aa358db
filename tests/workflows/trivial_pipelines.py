"""Kubeflow pipelines of one or two tasks for the tests of runners; compiled by `compile_all`."""

from pathlib import Path

from kfp import compiler, dsl


@dsl.component(base_image="python", install_kfp_package=False)
def say(commit_set: str, hyperparameters: str) -> str:
    import os
    import sys
    import time

    sys.stderr.write("step 1/2\n")
    for order in hyperparameters.split(","):
        word, _, value = order.partition("=")
        if word == "fail":
            raise ValueError(f"told to fail: {value}")
        if word == "mark":
            open(value, "a").write(f"{os.environ.get('PIX2PIX_RUN')} {os.getpid()}\n")  # noqa: SIM115, PTH123
        if word == "environment":
            open(value, "w").write("\n".join(os.environ))  # noqa: SIM115, PTH123
        if word == "wait":
            while not os.path.exists(value):  # noqa: PTH110
                time.sleep(0.02)
        if word == "die":
            os.kill(os.getppid() if value == "parent" else os.getpid(), 9)
    return commit_set


@dsl.component(base_image="python", install_kfp_package=False)
def echo(text: str, number: int) -> str:
    return f"{text} {number + 1}"


@dsl.pipeline(name="trivial")
def trivial(commit_set: str = "", hyperparameters: str = "", number: int = 1):
    first = say(commit_set=commit_set, hyperparameters=hyperparameters).set_caching_options(False)
    echo(text=first.output, number=number).set_caching_options(False)


@dsl.component(base_image="python", install_kfp_package=False)
def choose(items: list[str]) -> list[str]:
    return items


@dsl.component(base_image="python", install_kfp_package=False)
def meet(item: str, folder: str):
    """Wait until all three iterations have begun, print ten lines, and fail if requested."""
    import pathlib
    import time

    (pathlib.Path(folder) / item).touch()
    deadline = time.monotonic() + 20
    while len(list(pathlib.Path(folder).iterdir())) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    for number in range(10):
        print(f"line {number} of {item} met {len(list(pathlib.Path(folder).iterdir()))}")  # noqa: T201
        time.sleep(0.01)
    if item.startswith("fail"):
        raise SystemExit(f"{item} is hopeless")


@dsl.pipeline(name="loop")
def loop(items: list[str], folder: str):
    with dsl.ParallelFor(choose(items=items).output) as item:
        meet(item=item, folder=folder).set_caching_options(False)


def compile_loop(folder: Path) -> dict[str, Path]:
    """Compile the pipeline with a loop into a folder; return name -> file."""
    target = folder / "loop.yaml"
    compiler.Compiler().compile(loop, str(target))
    return {"loop": target}


def compile_all(folder: Path) -> dict[str, Path]:
    """Compile into a folder; return name -> file."""
    target = folder / "trivial.yaml"
    compiler.Compiler().compile(trivial, str(target))
    return {"trivial": target}
