"""The same networks in eager PyTorch, written in the usual way."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

Run = Callable[[], object]


class Generator(nn.Module):
    """U-Net.

    Attributes:
        dropouts: numbers of the decoder's blocks, from the innermost on, that drop units.
    """

    def __init__(self, size: int, filters: int, dropouts: range = range(3)) -> None:
        super().__init__()
        self.dropouts = dropouts
        depth = size.bit_length() - 1
        widths = [3, *(filters * min(2**i, 8) for i in range(depth))]
        self.down, self.down_norm = nn.ModuleList(), nn.ModuleList()
        self.up, self.up_norm = nn.ModuleList(), nn.ModuleList()
        for n in range(depth):
            norm = 0 < n < depth - 1
            self.down.append(nn.Conv2d(widths[n], widths[n + 1], 4, 2, 1, bias=not norm))
            self.down_norm.append(nn.BatchNorm2d(widths[n + 1]) if norm else nn.Identity())
        for n in reversed(range(depth)):
            inputs = widths[n + 1] * (1 if n == depth - 1 else 2)
            self.up.append(nn.ConvTranspose2d(inputs, widths[n], 4, 2, 1, bias=n == 0))
            self.up_norm.append(nn.BatchNorm2d(widths[n]) if n else nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        """Translate ``[N, 3, H, W]`` in [-1, 1]."""
        skips = []
        for n, (layer, norm) in enumerate(zip(self.down, self.down_norm, strict=True)):
            x = norm(layer(functional.leaky_relu(x, 0.2) if n else x))
            skips.append(x)
        skips.pop()
        for n, (layer, norm) in enumerate(zip(self.up, self.up_norm, strict=True)):
            x = norm(layer(functional.relu(x)))
            if n in self.dropouts:
                x = functional.dropout(x, 0.5, self.training)
            if skips:
                x = torch.cat([x, skips.pop()], 1)
        return torch.tanh(x)


def discriminator(filters: int) -> nn.Module:
    """Return the 70x70 PatchGAN."""
    layers: list[nn.Module] = [nn.Conv2d(6, filters, 4, 2, 1), nn.LeakyReLU(0.2)]
    for n in range(1, 4):
        convolution = nn.Conv2d(filters * 2 ** (n - 1), filters * 2**n, 4, 2 if n < 3 else 1, 1, bias=False)
        layers += [convolution, nn.BatchNorm2d(filters * 2**n), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(filters * 8, 1, 4, 1, 1))


def step(batch: int = 1, size: int = 256, filters: int = 64) -> Run:
    """Return one training step."""
    torch.manual_seed(1)
    g, d = Generator(size, filters), discriminator(filters)
    optimizers = [torch.optim.Adam(n.parameters(), 2e-4, (0.5, 0.999)) for n in (g, d)]
    x, y = (torch.rand(batch, 3, size, size) * 2 - 1 for _ in range(2))
    learn = training_step(g, d, optimizers)
    return lambda: learn(x, y)


def training_step(
    g: nn.Module, d: nn.Module, optimizers: list[torch.optim.Optimizer], halved: float = 1.0
) -> Callable[[Tensor, Tensor], float]:
    """Return the function that learns from inputs and targets, ``[N, 3, H, W]`` in [-1, 1].

    Args:
        g: generator.
        d: discriminator.
        optimizers: of both.
        halved: factor of the discriminator's loss.
    """
    g_adam, d_adam = optimizers
    entropy = nn.BCEWithLogitsLoss()

    def run(x: Tensor, y: Tensor) -> float:
        fake_y = g(x)
        d_adam.zero_grad()
        real, fake = d(torch.cat([x, y], 1)), d(torch.cat([x, fake_y.detach()], 1))
        d_loss = entropy(real, torch.ones_like(real)) + entropy(fake, torch.zeros_like(fake))
        (halved * d_loss).backward()
        d_adam.step()
        d.requires_grad_(False)
        g_adam.zero_grad()
        fake = d(torch.cat([x, fake_y], 1))
        loss = entropy(fake, torch.ones_like(fake)) + 100 * functional.l1_loss(fake_y, y)
        loss.backward()
        g_adam.step()
        d.requires_grad_(True)
        return loss.item()

    return run


def generate(batch: int = 8, size: int = 256, filters: int = 64) -> Run:
    """Return the generation of a batch, without gradients."""
    g = Generator(size, filters)
    x = torch.rand(batch, 3, size, size) * 2 - 1

    def run() -> object:
        with torch.inference_mode():
            return g(x).numpy()

    return run
