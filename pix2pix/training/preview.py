"""Keeps samples and report of a training up to date.

It exists apart from the loop because what a person looks at changes nothing in what is learnt.
"""

from __future__ import annotations

from pathlib import Path

from pix2pix.hyperparameters import TrainParameters
from pix2pix.pages.training_report import write_report
from pix2pix.training import samples
from pix2pix.training.dataset import Dataset
from pix2pix.training.devices import Devices
from pix2pix.training.metrics_log import Journal
from pix2pix.training.validation import Validation

PICTURES = ("samples/grid.png", "state/samples/0000000000.png")
"""One picture of each folder of a work folder that gets some."""


class Showcase:
    """Samples and report of one work folder."""

    def __init__(
        self, work: Path, data: Dataset, parameters: TrainParameters, devices: Devices, observer: Validation
    ) -> None:
        """Choose the pairs to show: held-out ones where there are any."""
        self._work, self._data, self._parameters = work, data, parameters
        self._devices, self._observer = devices, observer
        self._looks = work / "state" / "samples"
        pairs = data.held_out if len(data.held_out) else data.training
        height, width = parameters.shape
        self._pictures = pairs.stack(range(min(samples.COUNT, len(pairs))))[:, :height, :width]

    def forget_after(self, step: int) -> None:
        """Forget the looks behind the step from which a run goes on."""
        samples.forget_after(self._looks, step)

    def has_look(self, step: int) -> bool:
        """Tell whether what the generator makes at this step was kept."""
        return samples.is_kept(self._looks, step)

    def look(self, step: int) -> None:
        """Keep what the generator makes of the samples now."""
        outputs, _ = self._observer.show(self._pictures)
        samples.keep(self._looks, step, outputs)

    def publish(self, journal: Journal, step: int, seconds: float) -> None:
        """Write samples and report; TensorBoard gets the grid.

        Args:
            journal: of the run.
            step: the last one.
            seconds: in the training loop.
        """
        _, targets = self._observer.show(self._pictures)
        steps = samples.publish(self._looks, self._work / "samples", self._pictures[..., :3], targets)
        grid = (self._work / "samples" / "grid.png").read_bytes()
        size = int.from_bytes(grid[16:20], "big"), int.from_bytes(grid[20:24], "big")  # width and height in IHDR
        journal.show("samples", grid, size, steps[-1])
        data, devices = self._data, self._devices
        facts = {
            "Pairs": f"{len(data.training)} learnt from, {len(data.held_out)} held out, {len(data.rejected)} left out",
            "Steps": f"{step:,} of {self._parameters.total_steps(len(data.training)) or '?'}",
            "Seconds in the training loop": round(seconds),
            "Devices": f"{devices.replicas}, {devices.dtype}{', compiled by XLA' * devices.compiled}",
        }
        write_report(self._work, self._parameters, journal.records, steps, facts, data.rejected)
