"""How dense are training rows where a row comes to lie in the network's last hidden state? Three measures, high for strange rows.

Hidden states are first centred and turned to their main directions (at most ``MOST_DIRECTIONS``), because a network with members has
thousands of units and a thousand kept rows cannot tell their covariance. Letters: M kept rows, N rows, H units, R directions, Q centres.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pellucid.errors import EmptyTableError, ModelFileError

__all__ = ["DENSITIES", "POWERS", "ConjNorm", "Directions", "HiddenNeighbours", "Mahalanobis", "bregman"]

FloatArray = npt.NDArray[np.float64]
MOST_DIRECTIONS = 128  # what is strange in one cell stands out where states spread little
NEIGHBOURS = 10
POWERS = (1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)
TINY = 1e-12


@dataclass(frozen=True)
class Directions:
    """Main directions of the kept states. centre (H,), turn (H, R)."""

    centre: FloatArray
    turn: FloatArray

    @classmethod
    def fit(cls, states: FloatArray, most: int = MOST_DIRECTIONS) -> Directions:
        """Return the directions of states (M, H) that vary, at most ``most``; all of them where there are no more. Cost: O(M^2 H)."""
        if len(states) < 3:
            raise EmptyTableError("a density needs rows to learn from", expected="at least 3", got=str(len(states)))
        centre = states.mean(0)
        _, size, turn = np.linalg.svd(states - centre, full_matrices=False)
        keep = max(1, min(int((size > 1e-6 * max(size[0], TINY)).sum()), most, len(states) - 2))
        return cls(centre, turn[:keep].T.copy())

    def __call__(self, states: FloatArray) -> FloatArray:
        """Return the states (N, H) along the directions, (N, R)."""
        return np.asarray((states - self.centre) @ self.turn)


def _centres(z: FloatArray, labels: npt.NDArray[np.int64] | None) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return the mean of each class (Q, R) and the centre of each row (M,); one centre without classes."""
    at = np.zeros(len(z), np.int64) if labels is None else np.unique(labels, return_inverse=True)[1].reshape(-1)
    count = np.bincount(at)
    return np.stack([np.bincount(at, z[:, j]) / count for j in range(z.shape[1])], axis=1), at


@dataclass(frozen=True)
class _Density:
    """What the three measures share: directions, and figures in them."""

    directions: Directions

    def scores(self, states: FloatArray) -> FloatArray:
        """Return how strange the states (N, H) are, (N,), high for strange."""
        return self.of(self.directions(states))

    def of(self, z: FloatArray) -> FloatArray:
        """Return the same of states along the directions (N, R)."""
        raise NotImplementedError  # each measure defines its own

    def state(self) -> dict[str, Any]:
        """Return what :meth:`from_state` needs: numbers and arrays."""
        own = {k: v for k, v in vars(self).items() if k != "directions"}
        return {"centre": self.directions.centre, "turn": self.directions.turn, "own": own}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the measure that :meth:`state` described (arrays or lists)."""
        try:
            arrays = [np.asarray(state[k], np.float64) for k in ("centre", "turn")]
            own = {k: float(v) if np.ndim(v) == 0 else np.asarray(v, np.float64) for k, v in state["own"].items()}
            return cls(Directions(*arrays), **own)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError("the saved density cannot be read", got=f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class Mahalanobis(_Density):
    """Squared Mahalanobis distance to the nearest class mean, one covariance for all classes. centres (Q, R), whiten (R, R).

    Lee, Lee, Lee and Shin 2018, arXiv:1807.03888; the covariance is shrunk towards a sphere after Ledoit and Wolf 2004,
    doi:10.1016/S0047-259X(03)00096-4. On Gaussian states the score follows chi^2 with R degrees of freedom.
    """

    centres: FloatArray
    whiten: FloatArray

    @classmethod
    def fit(cls, states: FloatArray, labels: npt.NDArray[np.int64] | None = None, decoys: FloatArray | None = None, **_: Any) -> Self:
        """Return the fit on kept states (M, H) and their class numbers (M,)."""
        directions = Directions.fit(states)
        z = directions(states)
        centres, at = _centres(z, labels)
        return cls(directions, centres, _whitening(z - centres[at]))

    def of(self, z: FloatArray) -> FloatArray:
        """Return the squared distance of each row to its nearest centre, (N,)."""
        a, b = z @ self.whiten, self.centres @ self.whiten
        return np.asarray(_squares(a, b).min(1))


def _whitening(z: FloatArray) -> FloatArray:
    """Return W (R, R) with W W' the inverse of the shrunk covariance of z (M, R), centred."""
    from sklearn.covariance import ledoit_wolf

    covariance, _ = ledoit_wolf(z, assume_centered=True)
    value, vector = np.linalg.eigh(covariance)
    return np.asarray(vector / np.sqrt(np.maximum(value, TINY)))


def _squares(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T, 0.0))


@dataclass(frozen=True)
class HiddenNeighbours(_Density):
    """Mean distance to the 10 nearest kept states. kept (M, R), scale (R,).

    Sun, Ming, Zhu and Li 2022, arXiv:2204.06507. # NOTE[DIFF] the paper divides each state by its length, for networks that normalise
    their features; ours do not, and the length tells rows far out.
    """

    kept: FloatArray
    scale: FloatArray

    @classmethod
    def fit(cls, states: FloatArray, labels: npt.NDArray[np.int64] | None = None, decoys: FloatArray | None = None, **_: Any) -> Self:
        """Return the fit on kept states (M, H)."""
        directions = Directions.fit(states)
        z = directions(states)
        scale = np.full(z.shape[1], max(float(np.sqrt((z**2).mean())), TINY))
        return cls(directions, z / scale, scale)

    def of(self, z: FloatArray) -> FloatArray:
        """Return the mean distance of each row to its nearest kept ones, (N,)."""
        k = min(NEIGHBOURS, len(self.kept))
        out = np.empty(len(z))
        for s in range(0, len(z), 4096):
            near = np.partition(_squares(z[s : s + 4096] / self.scale, self.kept), k - 1, axis=1)[:, :k]
            out[s : s + 4096] = np.sqrt(near).mean(1)
        return out


def bregman(z: FloatArray, centres: FloatArray, p: float) -> FloatArray:
    """Return the Bregman divergence of half the squared p-norm between rows (N, R) and centres (Q, R), (N, Q).

    d(z, m) = phi(z) - phi(m) - <z - m, grad phi(m)>, phi = ||.||_p^2 / 2, grad phi(m) = ||m||_p^(2 - p) sign(m) |m|^(p - 1).

    Examples
    --------
    >>> bregman(np.array([[3.0, 1.0]]), np.array([[1.0, 1.0], [0.0, 0.0]]), 2.0).tolist()
    [[2.0, 5.0]]
    """
    phi = lambda a: 0.5 * (np.abs(a) ** p).sum(1) ** (2 / p)  # noqa: E731
    size = np.maximum((np.abs(centres) ** p).sum(1) ** (1 / p), TINY)
    slope = size[:, None] ** (2 - p) * np.sign(centres) * np.abs(centres) ** (p - 1)
    return np.asarray(phi(z)[:, None] - phi(centres)[None, :] - z @ slope.T + (centres * slope).sum(1)[None, :])


@dataclass(frozen=True)
class ConjNorm(_Density):
    """Minus the log density of a mixture of exponential families around the class means, its norm chosen. centres (Q, R), whiten (R, R),
    shares (Q,) of the classes, mass (Q,) log of the normaliser, power p.

    Peng, Luo, Liu, Bai, Zhang and others 2024, arXiv:2402.17888. The normaliser of each class is the mean of exp(-d) over the kept states,
    an estimate by sampling up to a factor that all classes share. # NOTE[DIFF] states are whitened first, for the units of a table's
    network have sizes of their own; the authors' program brings every state to length one instead and divides by a temperature, with
    which rows far out are lost (.60 for .69 of an area on four tables). p is the one nearest to 2, at which the measure is nearly
    Mahalanobis', whose scores part held-out rows from the same rows with their cells shuffled by column as well as the best one's do,
    but for one standard error: the best one alone is often chosen by chance, and rows strange in other ways then pay for it.
    """

    centres: FloatArray
    whiten: FloatArray
    shares: FloatArray
    mass: FloatArray
    power: float

    @classmethod
    def fit(
        cls,
        states: FloatArray,
        labels: npt.NDArray[np.int64] | None = None,
        decoys: FloatArray | None = None,
        held: FloatArray | None = None,
        power: float | None = None,
        **_: Any,
    ) -> Self:
        """Return the fit on kept states (M, H); the power is chosen by ``held`` and ``decoys`` (m, H) where it is not given."""
        directions = Directions.fit(states)
        z = directions(states)
        centres, at = _centres(z, labels)
        whiten = _whitening(z - centres[at])
        inside, middle, shares = z @ whiten, centres @ whiten, np.bincount(at) / len(at)

        def made(p: float) -> Any:
            d = bregman(inside, middle, p)
            least = d.min(0)
            return cls(directions, middle, whiten, shares, np.log(np.exp(least - d).mean(0)) - least, p)

        if power is not None or held is None or decoys is None:
            chosen: Self = made(2.0 if power is None else power)
            return chosen
        tried = [made(p) for p in POWERS]
        area, error = np.array([_parted(one.scores(held), one.scores(decoys)) for one in tried]).T
        enough = area >= area.max() - error[area.argmax()]
        best: Self = tried[int(np.argmin(np.where(enough, np.abs(np.array(POWERS) - 2), np.inf)))]
        return best

    def of(self, z: FloatArray) -> FloatArray:
        """Return minus the log density of each row, up to a constant, (N,)."""
        d = bregman(z @ self.whiten, self.centres, self.power)
        each = np.log(self.shares) - d - self.mass
        top = each.max(1)
        return np.asarray(-(top + np.log(np.exp(each - top[:, None]).sum(1))))


def _parted(usual: FloatArray, strange: FloatArray) -> tuple[float, float]:
    """Return how often a strange row lies above a usual one, and the standard error of that."""

    def below(rows: FloatArray, others: FloatArray) -> FloatArray:
        order = np.sort(others)
        both = np.searchsorted(order, rows, "left") + np.searchsorted(order, rows, "right")
        return np.asarray(both / (2 * len(order)))

    up, down = below(strange, usual), below(usual, strange)
    return float(up.mean()), float(np.sqrt(up.var() / len(up) + down.var() / len(down)))


DENSITIES: Mapping[str, type[_Density]] = {"mahalanobis": Mahalanobis, "hidden_neighbours": HiddenNeighbours, "conjnorm": ConjNorm}
