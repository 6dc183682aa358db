"""Hyperparameters of the four stages: types, defaults, allowed values, and the parameters file that sets them."""

from pix2pix.hyperparameters.export import ExportParameters
from pix2pix.hyperparameters.generate import GenerateParameters
from pix2pix.hyperparameters.parameters_file import parse, parse_assignments
from pix2pix.hyperparameters.resize import ResizeParameters
from pix2pix.hyperparameters.sections import SECTIONS, Hyperparameters, check_value, resolve
from pix2pix.hyperparameters.train import TrainParameters

__all__ = [
    "SECTIONS",
    "ExportParameters",
    "GenerateParameters",
    "Hyperparameters",
    "ResizeParameters",
    "TrainParameters",
    "check_value",
    "parse",
    "parse_assignments",
    "resolve",
]
