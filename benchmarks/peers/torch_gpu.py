"""The networks of `torch_eager` on a GPU, eager or compiled by torch.compile; on the CPU where there is no GPU."""

from __future__ import annotations

from collections.abc import Callable

import torch

from peers.torch_eager import Generator, discriminator, training_step

Run = Callable[[], object]

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
torch.backends.cudnn.benchmark = True
torch.set_float32_matmul_precision("high")  # TensorFloat-32, as TensorFlow uses by default


def step(batch: int, size: int, filters: int, precision: str, compiled: bool) -> Run:
    """Return one training step."""
    torch.manual_seed(1)
    g, d = Generator(size, filters).to(DEVICE), discriminator(filters).to(DEVICE)
    optimizers = [torch.optim.Adam(n.parameters(), 2e-4, (0.5, 0.999)) for n in (g, d)]
    x, y = ((torch.rand(batch, 3, size, size) * 2 - 1).to(DEVICE) for _ in range(2))
    networks = [torch.compile(n) if compiled else n for n in (g, d)]
    learn = training_step(*networks, optimizers)

    def run() -> object:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bfloat16"):
            return learn(x, y)

    return run


def generate(batch: int, size: int, filters: int, precision: str, compiled: bool) -> Run:
    """Return the generation of a batch from uint8 pictures of the host, without gradients."""
    g = Generator(size, filters).to(DEVICE).eval()
    network = torch.compile(g) if compiled else g
    pictures = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)

    def run() -> object:
        with torch.inference_mode(), torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "bfloat16"):
            made = network(pictures.to(DEVICE).float() / 127.5 - 1)
            return (made.float() * 127.5 + 127.5).round().to(torch.uint8).cpu().numpy()

    return run


def peak_megabytes() -> float:
    """Return the peak of the allocated memory since the last call; 0 on the CPU."""
    if DEVICE == "cpu":
        return 0.0
    peak = torch.cuda.max_memory_allocated() / 2**20
    torch.cuda.reset_peak_memory_stats()
    return peak
