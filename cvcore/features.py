"""What a frozen base makes of every image, computed once for all trials and later sweeps.

A bank holds one row per image, and one per augmented view of a training image. It fills shard by
shard: each is claimed by one process of a machine, looked up in the store, computed if nobody has
it, and left there. A process that dies loses the shard under its hands and nothing else.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvcore import layout
from cvcore.errors import StoreError
from cvcore.store import Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Features = NDArray[np.float32]

# Rows of a shard: MobileNetV2 at 160 pixels takes 2 s for them on one thread.
SHARD_ROWS = 256
# Larger banks are not kept: the whole model is trained instead, to the same numbers.
MAX_BANK_BYTES = 4 * 2**30
# A change of this makes every key a new one.
BANK_VERSION = 1
WAIT_SECONDS = 0.05
# A shard in the store ends in the SHA-256 of what stands before; readers of .npy do not see it.
DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a bank's rows are: `feature_shape` of each, and the size of the base behind them."""

    feature_shape: tuple[int, ...]
    num_base_params: int

    def num_bytes(self, num_rows: int) -> int:
        return 4 * num_rows * math.prod(self.feature_shape)


class FeatureBank:
    """The rows of one base over one data set.

    `identity` is everything that the rows depend on, as plain values: the same one gives the same
    key anywhere. `num_computed` counts the rows that this process computed.
    """

    def __init__(
        self, identity: Mapping[str, Any], *, num_rows: int, folder: Path, store: Store
    ) -> None:
        text = json.dumps({"version": BANK_VERSION, **identity}, sort_keys=True)
        self.key = hashlib.sha256(text.encode()).hexdigest()[:32]
        self.num_rows = num_rows
        self.num_computed = 0
        self._identity = dict(identity)
        self._folder = folder / "features" / self.key
        self._store = store
        self._folder.mkdir(parents=True, exist_ok=True)

    def about(self) -> About | None:
        """Return what is known of the rows; None while nobody has computed any."""
        path = self._folder / "about.json"
        if not path.exists():
            with suppress(StoreError):
                _write(path, self._store.read(layout.features_about(self.key)))
        try:
            document = json.loads(path.read_bytes())
            shape = tuple(document["feature_shape"])
            return About(feature_shape=shape, num_base_params=document["num_base_params"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def describe(self, about: About) -> None:
        """Write down what the rows are, for whoever comes next."""
        document = {
            "feature_shape": about.feature_shape,
            "num_base_params": about.num_base_params,
            "num_rows": self.num_rows,
            "identity": self._identity,
        }
        data = json.dumps(document, indent=1).encode()
        _write(self._folder / "about.json", data)
        with suppress(StoreError):
            self._store.write(layout.features_about(self.key), data)

    def fill(
        self, about: About, compute: Callable[[range], Features], *, deadline: float = math.inf
    ) -> bool:
        """Fill what is missing until `deadline` (`time.perf_counter`); tell whether it is whole.

        `compute` gives the rows of a range, float32 (len(range), *feature_shape). The store is a
        place to find and leave shards; without it they are computed all the same.
        """
        self._forget_damaged(about)
        while missing := [one for one in range(self._num_shards) if not self._done(one).exists()]:
            # Workers start at different shards, so that two machines seldom compute the same.
            first = os.getpid() % len(missing)
            taken = [self._take(one, about, compute) for one in _rotated(missing, first, deadline)]
            if time.perf_counter() > deadline:
                break
            if not any(taken):
                time.sleep(WAIT_SECONDS)  # the rest is under other hands
        return all(self._done(one).exists() for one in range(self._num_shards))

    def open(self, about: About) -> Features:
        """Return the whole bank (num_rows, *feature_shape) float32, memory-mapped and shared."""
        import numpy as np

        shape = (self.num_rows, *about.feature_shape)
        # Copy-on-write rather than read-only: dlpack hands out no read-only memory.
        return np.memmap(self._folder / "rows.raw", dtype=np.float32, mode="c", shape=shape)

    @property
    def _num_shards(self) -> int:
        return -(-self.num_rows // SHARD_ROWS)

    def _forget_damaged(self, about: About) -> None:
        """Take nothing for done where the file of the rows was lost or cut short."""
        path = self._folder / "rows.raw"
        if not path.exists() or path.stat().st_size != about.num_bytes(self.num_rows):
            for marker in self._folder.glob("*.done"):
                marker.unlink(missing_ok=True)

    def _done(self, shard: int) -> Path:
        return self._folder / f"{shard:05d}.done"

    def _take(self, shard: int, about: About, compute: Callable[[range], Features]) -> bool:
        """Bring one shard unless another process is at it; tell whether anything was done."""
        with _claimed(self._folder / f"{shard:05d}.lock") as claimed:
            if not claimed or self._done(shard).exists():
                return False
            rows = range(shard * SHARD_ROWS, min((shard + 1) * SHARD_ROWS, self.num_rows))
            shape = (len(rows), *about.feature_shape)
            features = self._stored(shard, shape)
            if features is None:
                features = compute(rows)
                self.num_computed += len(rows)
                self._leave(shard, features)
            self._place(features, about, first=rows.start)
            self._done(shard).touch()
        return True

    def _stored(self, shard: int, shape: tuple[int, ...]) -> Features | None:
        """Read a shard out of the store; None where it is absent or damaged."""
        import numpy as np

        try:
            sealed = self._store.read(layout.features_shard(self.key, shard))
        except StoreError:
            return None
        data, digest = sealed[:-DIGEST_BYTES], sealed[-DIGEST_BYTES:]
        if hashlib.sha256(data).digest() != digest:
            return None
        found: Features = np.load(io.BytesIO(data), allow_pickle=False)
        return found if found.shape == shape and found.dtype == np.float32 else None

    def _leave(self, shard: int, features: Features) -> None:
        import numpy as np

        buffer = io.BytesIO()
        np.save(buffer, features, allow_pickle=False)
        data = buffer.getvalue()
        sealed = data + hashlib.sha256(data).digest()
        with suppress(StoreError):
            self._store.write(layout.features_shard(self.key, shard), sealed)

    def _place(self, features: Features, about: About, *, first: int) -> None:
        """Write rows to their place in the one file that trials map; on disk before it counts."""
        with (self._folder / "rows.raw").open("ab"):
            pass
        with (self._folder / "rows.raw").open("r+b") as file:
            file.truncate(about.num_bytes(self.num_rows))
            file.seek(about.num_bytes(first))
            file.write(features.tobytes())
            file.flush()
            os.fsync(file.fileno())


def _rotated(shards: list[int], first: int, deadline: float) -> Iterator[int]:
    """Yield shards from the one at `first` on, and the others after them, while there is time."""
    for shard in shards[first:] + shards[:first]:
        yield shard
        if time.perf_counter() > deadline:
            return


@contextmanager
def _claimed(path: Path) -> Iterator[bool]:
    """Claim what a lock file stands for, if nobody holds it; a process that dies lets go."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(data)
    os.replace(partial, path)
