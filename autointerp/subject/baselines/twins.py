"""Twins: `NAME@natural` has the units of the matched baseline NAME, feature by feature, at theta 0."""

from __future__ import annotations

from dataclasses import replace

import torch

from autointerp.subject.dictionary import Units
from autointerp.words import NATURAL


def natural_twin(name: str, units: Units) -> Units:
    """The units of the matched baseline `name`, feature by feature, as the unmatched kind has them."""
    mu = torch.zeros_like(units.mu) if units.direction is None else units.mu
    theta = torch.zeros_like(units.theta)
    return replace(units, mu=mu, theta=theta, natural_of=name)


def natural_name(name: str) -> str:
    return name + NATURAL


def base_name(name: str) -> str:
    """The baseline whose units a dictionary has: that which a twin is named after."""
    return name.removesuffix(NATURAL)
