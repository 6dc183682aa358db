"""Keeps the sample pictures and the report of a training up to date."""

from __future__ import annotations

from pathlib import Path

from pix2pix.datasets.checks.training_check import TrainingCheck
from pix2pix.hyperparameters import TrainParameters
from pix2pix.pages.training_report import write_report
from pix2pix.training import samples
from pix2pix.training.dataset import Dataset
from pix2pix.training.devices import Devices
from pix2pix.training.metrics_log import MetricsLog
from pix2pix.training.validation import Validator

PICTURES = ("samples/grid.png", "state/samples/0000000000.png")
"""An example of a picture in each folder of a work folder that gets pictures."""


class Preview:
    """Sample pictures and report of one work folder."""

    def __init__(
        self,
        work: Path,
        data: Dataset,
        check: TrainingCheck | None,
        parameters: TrainParameters,
        devices: Devices,
        validator: Validator,
        began_with: str,
    ) -> None:
        """Choose the pairs to show: held-out pairs if there are any."""
        self._work, self._data, self._check, self._parameters = work, data, check, parameters
        self._devices, self._validator, self._began_with = devices, validator, began_with
        self._strips = work / "state" / "samples"
        pairs = data.held_out if len(data.held_out) else data.training
        height, width = parameters.shape
        self._pictures = pairs.stack(range(min(samples.COUNT, len(pairs))))[:, :height, :width]

    def remove_after(self, step: int) -> None:
        """Remove the outputs of steps after `step`, from which a run is resumed."""
        samples.remove_after(self._strips, step)

    def has_outputs(self, step: int) -> bool:
        """Return whether the outputs of a step are kept."""
        return samples.is_kept(self._strips, step)

    def keep_outputs(self, step: int) -> None:
        """Keep the generator's present outputs."""
        outputs, _ = self._validator.show(self._pictures)
        samples.keep(self._strips, step, outputs)

    def publish(self, log: MetricsLog, step: int, seconds: float) -> None:
        """Write sample pictures and report; TensorBoard gets the grid.

        Args:
            log: of the run.
            step: the last one taken.
            seconds: spent in the training loop.
        """
        _, targets = self._validator.show(self._pictures)
        steps = samples.publish(self._strips, self._work / "samples", self._pictures[..., :3], targets)
        grid = (self._work / "samples" / "grid.png").read_bytes()
        size = int.from_bytes(grid[16:20], "big"), int.from_bytes(grid[20:24], "big")  # width and height in IHDR
        log.add_picture("samples", grid, size, steps[-1])
        data, devices = self._data, self._devices
        pairs = f"{len(data.training)} learnt from, {len(data.held_out)} held out, {len(data.rejected)} left out"
        if data.copies:
            pairs += f"; {data.copies} nearly equal another one and are on its side"
        facts = {
            "Pairs": pairs,
            "Steps": f"{step:,} of {self._parameters.total_steps(len(data.training)) or '?'}",
            "Seconds in the training loop": round(seconds),
            "Devices": f"{devices.replicas}, {devices.dtype}{', compiled by XLA' * devices.compiled}",
        }
        if self._began_with:
            facts["Began with the weights of"] = self._began_with
        check = vars(self._check) if self._check else None
        write_report(self._work, self._parameters, log.records, steps, facts, data.rejected, check)
