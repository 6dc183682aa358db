"""The pipeline preprocessing_and_generation: prepare input images and translate them with the promoted model."""

from kfp import dsl

from components.generate.component import generate
from components.image import IMAGE
from components.resize.component import resize
from workflows.tasks import CONFIG, on_cluster


@dsl.pipeline(
    name="preprocessing_and_generation",
    display_name="pix2pix: resize and generate",
    description="Prepare the pictures of Pachyderm's repo input_images and translate them with the promoted model.",
    pipeline_config=CONFIG,
)
def preprocessing_and_generation(commit_set: str = "", hyperparameters: str = "", image: str = IMAGE) -> None:
    """Resize and generate.

    Args:
        commit_set: id of the Pachyderm commit set to fill. Empty: all that is open, or the newest. "new": a fresh one.
        hyperparameters: for this run alone, as TOML, e.g. resize.size = 128. They open a fresh commit set.
        image: whole reference of the image that both tasks run in.
    """
    resized = on_cluster(
        resize(commit_set=commit_set, hyperparameters=hyperparameters, run=dsl.PIPELINE_JOB_ID_PLACEHOLDER), image
    ).set_display_name("Resize")
    on_cluster(
        generate(commit_set=resized.outputs["commit_set"], run=dsl.PIPELINE_JOB_ID_PLACEHOLDER), image
    ).set_display_name("Generate")
