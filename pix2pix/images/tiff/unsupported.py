"""Names of the kinds of TIFF that are not supported, for the reason of a rejection."""

from __future__ import annotations

UNSUPPORTED_PHOTOMETRICS = {
    4: "a transparency mask",
    9: "ICC L*a*b*",
    10: "ITU L*a*b*",
    32803: "a colour filter array (a camera's raw samples)",
    32844: "LogL",
    32845: "LogLuv",
    34892: "linear raw samples",
    51177: "a depth map",
    52527: "a semantic mask",
}
"""PhotometricInterpretation -> name."""

UNSUPPORTED_COMPRESSIONS = {
    32766: "NeXT",
    32771: "word-aligned CCITT",
    32809: "ThunderScan",
    32895: "IT8",
    32896: "IT8",
    32897: "IT8",
    32898: "IT8",
    32908: "Pixar",
    32909: "Pixar",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "SGI Log",
    34677: "SGI Log",
    34712: "JPEG 2000",
    34713: "Nikon NEF",
    34715: "JBIG2",
    34887: "LERC",
    34892: "lossy JPEG",
    34933: "PNG",
    34934: "JPEG XR",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
"""Compression -> name."""
