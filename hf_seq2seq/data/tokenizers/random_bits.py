"""Random bits that are a function of where they are used, so that neither the order nor the number of draws matters."""

import numpy as np

STEP = np.uint64(0x9E3779B97F4A7C15)
FIRST = np.uint64(0xBF58476D1CE4E5B9)
SECOND = np.uint64(0x94D049BB133111EB)


def mixed(values: np.ndarray) -> np.ndarray:
    """Hashes of 64-bit numbers, independent and uniform for consecutive ones.

    Paper: Steele et al., 2014, section 4 (SplitMix64), https://doi.org/10.1145/2714064.2660195
    """
    found = values + STEP
    found ^= found >> np.uint64(30)
    found *= FIRST
    found ^= found >> np.uint64(27)
    found *= SECOND
    found ^= found >> np.uint64(31)
    return found


def keyed(keys: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """A hash for each key and number, which broadcast; both are uint64."""
    return mixed(keys ^ (numbers + np.uint64(1)) * STEP)


def key_of(*numbers: int) -> np.ndarray:
    """One key, of shape `(1,)`, for a sequence of integers."""
    key = np.zeros(1, dtype=np.uint64)
    for number in numbers:
        key = keyed(key, np.array([number % 2**64], dtype=np.uint64))
    return key


def uniform(bits: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1) from random bits, float64."""
    return (bits >> np.uint64(11)) * 2.0**-53
