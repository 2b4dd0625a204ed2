"""Curves on fixed knots: B-splines by the Cox-de Boor recursion, all columns at once, and rising coefficients.

de Boor 1972, doi:10.1016/0021-9045(72)90080-9.
"""

from __future__ import annotations

import torch
from torch.nn import functional

__all__ = ["b_spline", "even_spline", "rising", "smooth_clip", "uniform_knots"]


def uniform_knots(low: float, high: float, pieces: int, degree: int) -> torch.Tensor:
    """Return ``pieces + 1 + 2 * degree`` equally spaced knots: those of [low, high] and ``degree`` more on either side."""
    step = (high - low) / pieces
    return low + step * torch.arange(-degree, pieces + degree + 1, dtype=torch.float32)


def b_spline(x: torch.Tensor, knots: torch.Tensor, degree: int = 3) -> torch.Tensor:
    """Return the basis (..., M) of degree ``degree`` at the numbers ``x`` (...), M = number of knots - 1 - degree.

    Between the inner knots the basis is not negative and sums to 1; outside all knots it is 0. An x on a knot belongs to the piece at
    its right, but for the last inner knot, which closes the piece at its left.

    Cost: ``degree`` passes over (..., M). Computed in float32, or in float64 where ``x`` is.

    Examples
    --------
    >>> b_spline(torch.tensor([0.25]), uniform_knots(0.0, 1.0, 2, 1), 1).tolist()
    [[0.5, 0.5, 0.0]]
    """
    with torch.autocast(x.device.type, enabled=False):
        x = (x if x.dtype == torch.float64 else x.float())[..., None]
        t = knots.to(x.dtype)
        last = t[len(t) - 1 - degree]
        x = torch.where(x == last, torch.nextafter(last, t[0]), x)
        basis = ((x >= t[:-1]) & (x < t[1:])).to(x.dtype)
        for k in range(1, degree + 1):
            up = (x - t[: -k - 1]) / (t[k:-1] - t[: -k - 1])
            down = (t[k + 1 :] - x) / (t[k + 1 :] - t[1:-k])
            basis = up * basis[..., :-1] + down * basis[..., 1:]
        return basis


def even_spline(x: torch.Tensor, low: float, high: float, pieces: int, degree: int = 3) -> torch.Tensor:
    """Return :func:`b_spline` (..., M) on :func:`uniform_knots`, for x inside [low, high], with no recursion for degrees 1 and 3.

    On even knots every basis function is one bump, moved: ``(1 - |u|)+`` or ``((2 - |u|)+**3 - 4 (1 - |u|)+**3) / 6`` of the distance u to
    its middle in steps (Schoenberg 1946, doi:10.1090/qam/15914). Cost: 3 or 7 passes over (..., M).
    """
    if degree not in (1, 3):
        return b_spline(x, uniform_knots(low, high, pieces, degree), degree)
    with torch.autocast(x.device.type, enabled=False):
        x = x if x.dtype == torch.float64 else x.float()
        middle = torch.arange(pieces + degree, device=x.device, dtype=x.dtype) - (degree - 1) / 2
        u = ((x - low) * (pieces / (high - low)))[..., None].sub(middle).abs()
        if degree == 1:
            return torch.relu(1 - u)
        far, near = torch.relu(2 - u), torch.relu(1 - u)
        return far * far * far / 6 - near * near * near * (2 / 3)


def smooth_clip(x: torch.Tensor, bound: float = 3.0) -> torch.Tensor:
    """Return ``x / sqrt(1 + (x / bound)**2)``: rising, near x around 0, always inside (-bound, bound).

    Holzmueller, Grinsztajn, Steinwart 2024, arXiv:2407.04491, use it for scaled columns.
    """
    return x * torch.rsqrt(1 + (x / bound).square())


def rising(raw: torch.Tensor) -> torch.Tensor:
    """Return coefficients (..., M) that do not fall along the last axis: the first is free, the others add a positive step.

    A B-spline with such coefficients never falls between its inner knots (de Boor 1978, A Practical Guide to Splines, chapter XI).
    """
    return torch.cat([raw[..., :1], functional.softplus(raw[..., 1:] - 2.0)], -1).cumsum(-1)
