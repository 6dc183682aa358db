"""The two pipelines of the trigger, with tasks that fill their commits with one line; compiled by `compile_all`."""

from pathlib import Path

from kfp import compiler, dsl


@dsl.component(base_image="python", install_kfp_package=False)
def fill(commit_set: str, repo: str, after: str) -> str:
    import os
    from pathlib import Path

    from filling_stage import Died, fill

    from pachyderm.client.connection import Target, connect

    with connect(Target.from_environment(dict(os.environ))) as client:
        try:
            fill(client, repo, commit_set, os.environ["PIX2PIX_RUN"], Path(os.environ["TEST_ORDERS"]))
        except Died:
            os.killpg(0, 9)
    return commit_set


@dsl.component(base_image="python", install_kfp_package=False)
def fill_both(commit_set: str) -> str:
    import os
    from pathlib import Path

    from filling_stage import fill

    from pachyderm.client.connection import Target, connect

    with connect(Target.from_environment(dict(os.environ))) as client:
        for repo in ("preprocess_images", "generate_images"):
            fill(client, repo, commit_set, os.environ["PIX2PIX_RUN"], Path(os.environ["TEST_ORDERS"]))
    return commit_set


@dsl.pipeline(name="quick")
def quick(commit_set: str = "", hyperparameters: str = ""):
    fill_both(commit_set=commit_set).set_caching_options(False)


@dsl.pipeline(name="training_and_export")
def training_and_export(commit_set: str = "", hyperparameters: str = ""):
    first = fill(commit_set=commit_set, repo="checkpoint", after=hyperparameters).set_caching_options(False)
    fill(commit_set=commit_set, repo="model", after=first.output).set_caching_options(False)


@dsl.pipeline(name="preprocessing_and_generation")
def preprocessing_and_generation(commit_set: str = "", hyperparameters: str = ""):
    first = fill(commit_set=commit_set, repo="preprocess_images", after=hyperparameters).set_caching_options(False)
    fill(commit_set=commit_set, repo="generate_images", after=first.output).set_caching_options(False)


def compile_all(folder: Path) -> dict[str, Path]:
    """Compile into a folder; return name -> file."""
    pipelines = {}
    for pipeline in (training_and_export, preprocessing_and_generation):
        name = pipeline.name.replace("-", "_")
        pipelines[name] = folder / f"{name}.yaml"
        compiler.Compiler().compile(pipeline, str(pipelines[name]))
    # The same pipeline as a single task, for tests with many runs.
    pipelines["quick"] = folder / "quick.yaml"
    compiler.Compiler().compile(quick, str(pipelines["quick"]))
    return pipelines
