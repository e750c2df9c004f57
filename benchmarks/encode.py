"""A frozen encoder in the loop: one wrapper for N environments, latency, knobs of the forward pass, the way to SB3.

Wrappers are measured over environments that cost nothing (they show prepared random frames), so that the figures are
those of encoding and wrapping alone. `module(tensor)` is the bare forward pass in inference mode on one thread.

Targets: the batched wrapper of N = 16 environments 2.5 times as cheap as 16 single ones, one frame through
`FrozenEncoder.encode` at most 1.2 times a bare forward pass (0.83 below).
Found (2 cores of an Intel Xeon with AVX-512 and without bf16 instructions, shared with other work; by CPU time):

                                             84 px PAPER      47 px QUICK
    16 single wrappers, us a step            2980             325
    VectorEncodeObservation                  2810  x1.07      108  x2.7     (one thread)
    VecEncodeObservation (SB3)               2740  x1.13      111  x2.7     (one thread)
    encode(frame) against module(tensor)     x0.92            x0.90
    forward pass of                          1       16       1       16
    inference_mode, 1 thread, us a frame     3290    3570     245     88
    no_grad                                  x1.00   x0.99    x0.97   x1.01
    with gradients                           x0.95   x0.84    x0.86   x0.93
    2 threads, second core busy              x0.23   x0.23    x0.01   x0.01
    2 threads, second core idle (wall)       x1.56   x1.75            x1.23
    weights not channels-last                x0.86   x1.09    x1.08   x0.76
    bf16 (autocast)                          x0.31   x0.38    x0.53   x0.53
    torch.compile                            x1.10   x1.18    x1.10   x1.15

2.5 is reached by the small net, where a batch shares the calls' overhead. It cannot be by the paper's: its 250 million
floating-point operations a frame run at 70 to 90 GFLOP/s whatever the batch, which is what a core does here. What a
batch gives it is a second core, about twice by wall time where one is idle.

Kept: inference_mode (no slower, no bookkeeping), channels-last weights (a batch of the small net needs them; single
frames and PAPER differ within the noise of a shared machine), a thread for every 50,000 pixels: 16 frames of 84 pixels
get two, 16 of 47 pixels one. Where the second core is busy, each layer waits until the other thread is scheduled, and
the shorter the layers the worse. Also kept, without changing a bit of the features: activations in place where no gradient is recorded
(8 % of a batch of 16 were page faults of fresh memory) and the mean image in the memory layout of the frames. Not kept:
bf16, which this processor emulates, and torch.compile, 10 to 18 % for 9 to 15 s of compiling at each batch size. Left:
the tanh GELU takes 35 % of a batch of the small net, five times as long as torch's own tanh of as many numbers; writing
it out with that tanh would change features and pretrained encoders in the last bits.

To SB3, us of CPU a step of the point mass, 16 environments, states: DummyVecEnv 52, to_sb3(SyncVectorEnv) 48,
to_sb3(make_vec) 9.0, make_vec alone 8.3. The adapter costs 0.6 of them, info dicts included; DummyVecEnv copies every
info deeply.
"""

import shutil
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import batch_space
from harness import Arm, Comparison, as_json, compare, run
from stable_baselines3.common.vec_env import DummyVecEnv

from latentctx_envs.encoders import PAPER, QUICK, ConvNet, FrozenEncoder
from latentctx_envs.wrappers import EncodeObservation, VectorEncodeObservation
from latentctx_envs.wrappers.sb3 import VecEncodeObservation, to_sb3

ENV_ID = "LatentCtx-PointMass-v0"
N = 16
NETS = {"84 px PAPER": PAPER, "47 px QUICK": QUICK}
ACTIONS = np.zeros((N, 2), np.float32)


def results() -> dict[str, Any]:
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    comparisons: dict[str, Comparison] = {}
    for name, config in NETS.items():
        torch.manual_seed(0)
        net = ConvNet(config).eval().requires_grad_(False)
        torch.set_num_threads(usual)  # as in a program that does not care
        comparisons[f"wrappers, {name}"] = wrappers(name, net)
        torch.set_num_threads(1)
        comparisons[f"latency, {name}"] = latency(name, net)
        for batch in (1, N):
            comparisons[f"knobs, {name}, batch {batch}"] = knobs(name, net, batch)
    comparisons["to SB3"] = sb3()
    return as_json(comparisons)


class Frames(gym.Env[np.ndarray, np.ndarray]):
    """An environment that costs nothing: it shows prepared random frames in turn."""

    def __init__(self, size: tuple[int, int], seed: int) -> None:
        self.observation_space = gym.spaces.Box(0, 255, (*size, 3), np.uint8)
        self.action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self._frames = random_frames(8, size, seed)
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        return self._frames[0].copy(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._steps += 1
        return self._frames[self._steps % 8].copy(), 0.0, False, False, {}


class VectorFrames(gym.vector.VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """N of them in one."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.num_envs = N
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = gym.spaces.Box(0, 255, (*size, 3), np.uint8)
        self.single_action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, N)
        self.action_space = batch_space(self.single_action_space, N)
        self._frames = [random_frames(N, size, seed) for seed in range(8)]
        self._steps = 0

    def reset(self, **_: Any) -> tuple[np.ndarray, dict[str, Any]]:
        return self._frames[0].copy(), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        self._steps += 1
        ended = np.zeros(N, bool)
        return self._frames[self._steps % 8].copy(), np.zeros(N), ended, ended.copy(), {}


def random_frames(count: int, size: tuple[int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def wrappers(name: str, net: ConvNet) -> Comparison:
    size = net.config.image_size
    singles = [EncodeObservation(Frames(size, index), net) for index in range(N)]
    vector = VectorEncodeObservation(VectorFrames(size), net)
    sb3_singles = DummyVecEnv([lambda: EncodeObservation(Frames(size, 0), net)] * N)
    sb3_vector = VecEncodeObservation(to_sb3(VectorFrames(size)), net)
    for env in (*singles, vector, sb3_singles, sb3_vector):
        env.reset()

    def one_by_one() -> int:
        for env, action in zip(singles, ACTIONS, strict=True):
            env.step(action)
        return N

    def stepping(env: Any) -> Arm:
        def arm() -> int:
            env.step(ACTIONS)
            return N

        return arm

    batched = {
        "VectorEncodeObservation": stepping(vector),
        "VecEncodeObservation (SB3)": stepping(sb3_vector),
    }
    singly = {"EncodeObservation": one_by_one, "the same in DummyVecEnv (SB3)": stepping(sb3_singles)}
    return compare(
        f"{N} environments, {name}",
        {**singly, **batched},
        peer="EncodeObservation",
        unit="step",
        targets=dict.fromkeys(batched, 2.5),
    )


def latency(name: str, net: ConvNet) -> Comparison:
    frozen = FrozenEncoder(net)
    frame = random_frames(1, net.config.image_size, 0)
    return compare(
        f"One frame, {name}",
        {
            "module(tensor)": forward(net, torch.from_numpy(frame)),
            "encode(frame)": lambda: len(frozen.encode(frame)),
        },
        peer="module(tensor)",
        unit="frame",
        targets={"encode(frame)": 1 / 1.2},
    )


def knobs(name: str, net: ConvNet, batch: int) -> Comparison:
    """The same forward pass with one thing changed."""
    frames = torch.from_numpy(random_frames(batch, net.config.image_size, 0))
    contiguous = ConvNet(net.config).eval().requires_grad_(False)
    contiguous.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    arms = {
        "inference_mode, 1 thread": forward(net, frames),
        "no_grad": forward(net, frames, torch.no_grad),
        "with gradients": forward(ConvNet(net.config), frames, torch.enable_grad),
        "2 threads": threads(forward(net, frames), 2),
        "weights not channels-last": forward(contiguous, frames),
        "bf16 (autocast)": forward(net, frames, bf16),
    }
    if shutil.which("g++") is not None:
        arms["torch.compile"] = forward(torch.compile(net, dynamic=False), frames)
    return compare(
        f"Forward pass of {batch}, {name}",
        arms,
        peer="inference_mode, 1 thread",
        unit="frame",
        seconds=0.25,
        rounds=3,
    )


class bf16(torch.inference_mode):  # noqa: N801, a context manager like those it stands beside
    """inference_mode with bfloat16 convolutions."""

    def __enter__(self) -> None:
        super().__enter__()
        self._autocast = torch.autocast("cpu", torch.bfloat16)
        self._autocast.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._autocast.__exit__(*error)
        super().__exit__(*error)


def forward(module: Any, frames: torch.Tensor, mode: Callable[[], Any] = torch.inference_mode) -> Arm:
    def arm() -> int:
        with mode():
            return len(module(frames))

    return arm


def threads(inner: Arm, count: int) -> Arm:
    def arm() -> int:
        torch.set_num_threads(count)
        units = inner()
        torch.set_num_threads(1)
        return units

    return arm


def sb3() -> Comparison:
    """Stepping the point mass for SB3, episodes of 100 steps."""
    native = {"num_envs": N, "autoreset_mode": "SameStep"}
    envs = {
        "DummyVecEnv": DummyVecEnv([lambda: gym.make(ENV_ID)] * N),
        "to_sb3(SyncVectorEnv)": to_sb3(
            SyncVectorEnv([lambda: gym.make(ENV_ID)] * N, autoreset_mode="SameStep")
        ),
        "to_sb3(make_vec)": to_sb3(gym.make_vec(ENV_ID, **native)),
        "make_vec alone": gym.make_vec(ENV_ID, **native),
    }

    def stepping(env: Any) -> Arm:
        env.reset()

        def arm() -> int:
            for _ in range(100):
                env.step(ACTIONS)
            return 100 * N

        return arm

    return compare(
        f"Stable-Baselines3, {N} environments, states",
        {name: stepping(env) for name, env in envs.items()},
        peer="DummyVecEnv",
        unit="step",
    )


if __name__ == "__main__":
    run(__doc__ or "", results)
