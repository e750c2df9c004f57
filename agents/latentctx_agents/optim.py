"""One optimiser loop for every learner: AdamW, resumable without pickle."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from latentctx_agents.checkpoints import (
    CHECKPOINT_FILE,
    read_checkpoint,
    set_torch_states,
    torch_states,
    write_checkpoint,
)
from latentctx_agents.runs import MetricsLog, training_alone
from latentctx_envs.encoders.tensors import write_tensors
from latentctx_envs.replacing import replacing

CHECKPOINT_SECONDS = 15.0
Metrics = dict[str, float]
LossFunction = Callable[[], tuple[Tensor, Metrics]]
OnStep = Callable[[int, Metrics], None]  # hears (step, metrics) of a training
Precision = Literal["float32", "bfloat16"]  # of matrix products; weights and sums stay float32


def unheard(step: int, metrics: Metrics) -> None:
    """The OnStep that nobody listens to."""


def in_precision(device: torch.device | str, precision: Precision) -> torch.autocast:
    """The context in which matrix products are taken in a precision, of a device or its name."""
    kind = torch.device(device).type
    return torch.autocast(kind, torch.bfloat16, enabled=precision == "bfloat16")


def mean_metrics(steps: Iterable[Metrics]) -> Metrics:
    """Means of what many steps log under the same names; empty without steps."""
    columns: dict[str, list[float]] = {}
    for metrics in steps:
        for name, value in metrics.items():
            columns.setdefault(name, []).append(value)
    return {name: float(np.mean(values)) for name, values in columns.items()}


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW, by default with cosine decay to zero as in arXiv 2305.16985.

    Raises:
        ValueError: a number is out of range.
    """

    steps: int  # gradient steps
    batch_size: int  # transitions a step
    learning_rate: float  # at the first step
    weight_decay: float = 1e-4  # on every parameter
    schedule: Literal["cosine", "constant"] = "cosine"  # of the learning rate
    warm_up: int = 0  # steps over which the rate first rises from zero
    clip: float | None = None  # largest norm of the gradient of each group of parameters
    log_every: int = 50  # [steps] between two rows of metrics, each the mean since the last

    def __post_init__(self) -> None:
        """Refuse impossible numbers in words."""
        if self.steps < 1 or self.batch_size < 1 or self.log_every < 1:
            raise ValueError("steps, batch_size and log_every start at 1.")
        if not (self.learning_rate > 0.0 and self.weight_decay >= 0.0 and self.warm_up >= 0):
            raise ValueError("learning_rate must be above 0, weight_decay and warm_up at least 0.")
        if self.clip is not None and not self.clip > 0.0:
            raise ValueError(f"clip must be above 0, or None; got {self.clip}.")


class Stepper:
    """Parameters and their optimiser: one gradient step at a time, and everything as tensors for a checkpoint.

    Args:
        modules: what is trained; parameters and buffers belong to the checkpoint.
        learning_rate: of every parameter.
        weight_decay: on every parameter.
        clip: largest norm of the gradient of each group; None for no limit.
        groups: parameters whose gradients are clipped apart; by default all are one group.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        *,
        learning_rate: float,
        weight_decay: float = 0.0,
        clip: float | None = None,
        groups: Sequence[Sequence[nn.Parameter]] | None = None,
    ) -> None:
        self.modules = nn.ModuleList(modules)
        self.moving = False  # weights began to move; who counts steps sets it back once one is counted
        self._clip = clip
        self._parameters = [p for p in self.modules.parameters() if p.requires_grad]
        self._groups = [list(group) for group in groups] if groups is not None else [self._parameters]
        self._optimizer = torch.optim.AdamW(self._parameters, lr=learning_rate, weight_decay=weight_decay)

    @property
    def learning_rate(self) -> float:
        """Of the last step."""
        return self._optimizer.param_groups[0]["lr"]

    def step(self, loss: Tensor, *, learning_rate: float | None = None) -> None:
        """One step down the gradient of a loss."""
        if learning_rate is not None:
            self._optimizer.param_groups[0]["lr"] = learning_rate
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self._clip is not None:
            for group in self._groups:
                nn.utils.clip_grad_norm_(group, self._clip)
        self.moving = True
        self._optimizer.step()

    def tensors(self) -> dict[str, Tensor]:
        """Weights and the optimiser's state, by name."""
        found = {f"module/{name}": t for name, t in self.modules.state_dict().items()}
        for index, parameter in enumerate(self._parameters):
            for name, value in self._optimizer.state.get(parameter, {}).items():
                found[f"optimizer/{index}/{name}"] = value
        return {name: tensor.contiguous().cpu() for name, tensor in found.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Continue from what `tensors` gave."""
        self.modules.load_state_dict({k[7:]: t for k, t in tensors.items() if k.startswith("module/")})
        for index, parameter in enumerate(self._parameters):
            prefix = f"optimizer/{index}/"
            self._optimizer.state[parameter] = {
                key[len(prefix) :]: t if key.endswith("step") else t.to(parameter.device)
                for key, t in tensors.items()
                if key.startswith(prefix)
            }


@contextmanager
def held(*modules: nn.Module) -> Iterator[None]:
    """A block in which no gradient reaches the parameters of modules; then they learn as before."""
    learning = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


class Training:
    """Parameters, optimiser and step counter of one training, with everything that a resume needs.

    Args:
        modules: what is trained; their parameters and buffers are saved and restored.
        config: the optimiser.
        rng: the generator that draws the batches; its state is saved as well.
        groups: parameters whose gradients are clipped apart; by default all are one group.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        config: OptimizerConfig,
        rng: np.random.Generator,
        *,
        groups: Sequence[Sequence[nn.Parameter]] | None = None,
    ) -> None:
        self.config = config
        self.rng = rng
        self.step = 0
        self._stepper = Stepper(
            modules,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            clip=config.clip,
            groups=groups,
        )
        self.modules = self._stepper.modules
        self._begun: tuple[Any, dict[str, Tensor]] | None = None  # generators before the running step
        self._sums: dict[str, float] = {}  # of what the steps since the last row logged
        self._summed = 0

    def run(
        self, loss: LossFunction, after: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[int, Metrics]]:
        """Train to the last step; yield (step, mean metrics) every `log_every` steps and at the end.

        Args:
            loss: of the next step.
            after: called after every step but those with which something is yielded.
        """
        config = self.config
        self.modules.train()
        while self.step < config.steps:
            self._begun = self.rng.bit_generator.state, torch_states()
            value, metrics = loss()
            self._stepper.step(value, learning_rate=self._rate())
            self.step += 1
            self._stepper.moving, self._begun = False, None
            self._summed += 1
            for name, number in {"loss": value.item(), **metrics}.items():
                self._sums[name] = self._sums.get(name, 0.0) + number
            if self.step % config.log_every == 0 or self.step == config.steps:
                means = {name: total / self._summed for name, total in self._sums.items()}
                self._sums, self._summed = {}, 0
                yield self.step, means
            else:
                after()
        self.modules.eval()

    def _rate(self) -> float:
        """The learning rate of this step."""
        config = self.config
        rate = config.learning_rate * min(1.0, (self.step + 1) / (config.warm_up + 1))
        if config.schedule == "constant":
            return rate
        return 0.5 * rate * (1.0 + math.cos(math.pi * self.step / config.steps))

    def save(self, directory: Path) -> None:
        """Write the checkpoint, replacing the last one in one move."""
        facts = {"step": self.step, "sums": self._sums, "summed": self._summed}
        write_checkpoint(directory / CHECKPOINT_FILE, self._stepper.tensors(), rng=self.rng, facts=facts)

    def save_interrupted(self, directory: Path) -> None:
        """Write what the last whole step left, after an error or Ctrl-C at any place.

        Where the weights themselves were being moved, the checkpoint that is there stays.
        """
        if self._stepper.moving:
            return
        if self._begun is not None:
            self.rng.bit_generator.state, states = self._begun
            set_torch_states(states)
        self.save(directory)

    def restore(self, directory: Path) -> bool:
        """Continue from the directory's checkpoint; False if there is none.

        Raises:
            ValueError: the checkpoint is damaged or belongs to another training.
        """
        path = directory / CHECKPOINT_FILE
        if not path.exists():
            return False
        with read_checkpoint(path, rng=self.rng) as (tensors, facts):
            self._stepper.load(tensors)
            self.step = facts["step"]
            self._sums, self._summed = facts.get("sums", {}), facts.get("summed", 0)
        return True


def write_weights(path: Path, module: nn.Module) -> None:
    """The tensors of a module as safetensors, in one move."""
    with replacing(path) as fresh:
        write_tensors(fresh, module.state_dict())


def save_steppers(
    steppers: Mapping[str, Stepper], directory: Path, *, rng: np.random.Generator, rounds: int
) -> None:
    """Write the checkpoint of a training in rounds that has several optimisers, replacing the last one in one move."""
    tensors = {
        f"{name}/{key}": t for name, stepper in steppers.items() for key, t in stepper.tensors().items()
    }
    write_checkpoint(directory / CHECKPOINT_FILE, tensors, rng=rng, facts={"rounds": rounds})


def restore_steppers(steppers: Mapping[str, Stepper], directory: Path, *, rng: np.random.Generator) -> int:
    """Continue from what `save_steppers` wrote; rounds that it knows of, 0 without a checkpoint.

    Raises:
        ValueError: the checkpoint is damaged or belongs to another training.
    """
    path = directory / CHECKPOINT_FILE
    if not path.exists():
        return 0
    with read_checkpoint(path, rng=rng) as (tensors, facts):
        for name, stepper in steppers.items():
            prefix = f"{name}/"
            stepper.load({k[len(prefix) :]: t for k, t in tensors.items() if k.startswith(prefix)})
    return facts["rounds"]


def run_resumable(training: Training, loss: LossFunction, directory: Path) -> Iterator[tuple[int, Metrics]]:
    """Train to the last step, from the directory's checkpoint if there is one.

    Metrics go to the run folder; a checkpoint is written every few seconds, at an interruption and after the last step: what
    is trained next stands on these very weights, which other hardware or threads would not find again.

    Raises:
        ValueError: the checkpoint is damaged or belongs to another training, or another process trains in the folder.
    """
    with training_alone(directory):
        training.restore(directory)
        log = MetricsLog(directory, start=training.step)
        saved = time.monotonic()

        def save_in_time() -> None:
            nonlocal saved
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                training.save(directory)
                saved = time.monotonic()

        try:
            for step, metrics in training.run(loss, after=save_in_time):
                log.write(step, metrics)
                if step < training.config.steps:
                    save_in_time()
                else:
                    training.save(directory)
                yield step, metrics
        finally:
            log.close()
            if training.step < training.config.steps:
                training.save_interrupted(directory)


def run_rounds(
    steppers: Mapping[str, Stepper],
    directory: Path,
    rng: np.random.Generator,
    play: Callable[[int], Iterator[tuple[int, Metrics]]],
) -> Iterator[tuple[int, Metrics]]:
    """Train in rounds with several optimisers, from the directory's checkpoint if there is one, and write one after each.

    Args:
        steppers: what is trained.
        directory: run folder.
        rng: whose state belongs to the checkpoint.
        play: the rounds after so many, as (rounds so far, metrics).

    Raises:
        ValueError: the checkpoint is damaged or belongs to another training, or another process trains in the folder.
    """
    with training_alone(directory):
        start = restore_steppers(steppers, directory, rng=rng)
        log = MetricsLog(directory, start=start)
        try:
            for done, metrics in play(start):
                log.write(done, metrics)  # first: a row of a round that comes again is written anew
                save_steppers(steppers, directory, rng=rng, rounds=done)
                yield done, metrics
        finally:
            log.close()
