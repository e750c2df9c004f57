"""The Encoder contract: a torch module from pixels to features that saves itself without pickle."""

import copy
import dataclasses
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from huggingface_hub import PyTorchModelHubMixin, snapshot_download
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from latentctx_envs.encoders.card import encoder_card
from latentctx_envs.encoders.tensors import write_tensors
from latentctx_envs.replacing import replacing_folder

if TYPE_CHECKING:
    from latentctx_envs.rendering import RenderProfile  # its module loads MuJoCo, which encoders do without

FORMAT_VERSION = 1
PRECISIONS: dict[str, torch.dtype] = {"float32": torch.float32, "float16": torch.float16}  # of stored weights
CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"
FILES = (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE)


class Encoder(nn.Module, PyTorchModelHubMixin, ABC):
    """Base of all encoders; subclasses are built from one frozen dataclass and registered (`register_encoder`).

    `save_pretrained(dir)` writes `config.json`, `model.safetensors` and a card; `from_pretrained` reads them from a
    directory or a hub id. `push_to_hub` comes from huggingface_hub's mixin.
    """

    config_type: ClassVar[type[Any]]
    feature_range: ClassVar[tuple[float, float]] = (-float("inf"), float("inf"))
    unread: ClassVar[tuple[str, ...]] = ()  # how names begin of tensors in older files that it does not need

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.training_record: dict[str, Any] = {}  # how it was trained, goes into config.json and the card

    @property
    def render_profile(self) -> "RenderProfile | None":
        """That of the frames it was trained on; None where its record does not tell. Environments refuse unknown ones."""
        config = self.training_record.get("config", {})
        return self.training_record.get("render_profile", config.get("render_profile"))

    @property
    def family(self) -> str | None:
        """Of the worlds that it was trained on, such as "walker"; None where its record does not tell."""
        return self.training_record.get("family")

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """(height, width, 3) of the frames it takes; (d,) of a filter of vectors."""

    @property
    @abstractmethod
    def features_dim(self) -> int:
        """D, the number of features."""

    @property
    def reads(self) -> str:
        """What it takes, in words, for its card."""
        height, width, _ = self.input_shape
        return f"uint8 frames of {height} x {width} pixels"

    @abstractmethod
    def forward(self, pixels: Tensor) -> Tensor:
        """Features (B, D) float32 of uint8 pixels (B, H, W, 3)."""

    def architecture(self) -> dict[str, Any]:
        """JSON values of which `config_type` is made again; hashes and folders hold them."""
        return dataclasses.asdict(self.config)

    def content_hash(self) -> str:
        """sha256 over class, architecture and weights; encoders with equal hashes give equal features."""
        facts = [FORMAT_VERSION, type(self).__name__, self.architecture()]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def save_pretrained(  # type: ignore[override]
        self,
        save_directory: str | Path,
        *,
        training: Mapping[str, Any] | None = None,
        precision: str = "float32",
        published: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Write the encoder to a directory; an existing encoder there is replaced in one move.

        Args:
            save_directory: where to; its parent is created.
            training: JSON values of how it was trained (objective, dataset, hash, seed, command, metrics).
            precision: of the stored weights, "float32" or "float16"; loading gives float32 either way. Buffers (a mean
                image, statistics) are not weights and keep theirs.
            published: JSON values of what is known of a published encoder (name, world, results); see `card.py`.

        Raises:
            ValueError: something else than an encoder is there, the precision is unknown or too small for a weight;
                nothing was written.
        """
        if training is not None:
            self.training_record = dict(training)
        weights = _stored(self, precision)
        target = Path(save_directory)
        config = {
            "format_version": FORMAT_VERSION,
            "encoder": type(self).__name__,
            "reads": self.reads,
            "architecture": self.architecture(),
            "weights": precision,
            "training": self.training_record,
        }
        if published is not None:
            config["published"] = dict(published)
        with replacing_folder(target, own=FILES, what="an encoder") as fresh:
            (fresh / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
            write_tensors(fresh / WEIGHTS_FILE, weights)
            (fresh / CARD_FILE).write_text(encoder_card(config))

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        local_files_only: bool = False,
        **_: Any,
    ) -> Self:
        """Load an encoder of this class from a directory, or from the hub if there is no such directory.

        Raises:
            ValueError: files are missing or damaged, or hold another class of encoder.
        """
        directory = Path(pretrained_model_name_or_path)
        if not directory.is_dir():
            directory = Path(
                snapshot_download(
                    str(pretrained_model_name_or_path),
                    revision=revision,
                    local_files_only=local_files_only,
                    allow_patterns=list(FILES),
                )
            )
        config = read_config(directory)
        if config["encoder"] != cls.__name__:
            raise ValueError(f"{directory} holds a {config['encoder']}, not a {cls.__name__}.")
        try:
            encoder = cls(cls.config_type(**config["architecture"]))
        except TypeError as error:
            raise ValueError(f"{directory / CONFIG_FILE}: bad architecture: {error}") from None
        encoder.load_state_dict(_read_weights(directory, encoder, config["weights"]))
        encoder.training_record = dict(config.get("training") or {})
        return encoder.eval()


def read_config(directory: Path) -> dict[str, Any]:
    """The parsed `config.json` of an encoder directory.

    Raises:
        ValueError: it is missing, not JSON, or of an unknown format version.
    """
    path = directory / CONFIG_FILE
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{directory} is no encoder: it has no {CONFIG_FILE}.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged ({error}); save or download the encoder again.") from None
    if not isinstance(config, dict) or config.get("format_version") != FORMAT_VERSION:
        raise ValueError(f"{path} must have format_version {FORMAT_VERSION}; it is another kind of file.")
    if not isinstance(config.get("architecture"), dict) or not isinstance(config.get("encoder"), str):
        raise ValueError(f"{path} must name an encoder and its architecture.")
    config.setdefault("weights", "float32")  # before half precision, files did not say
    if config["weights"] not in list(PRECISIONS):
        raise ValueError(f"{path}: weights must be {' or '.join(PRECISIONS)}; got {config['weights']!r}.")
    return config


def rounded(encoder: Encoder) -> Encoder:
    """A copy whose weights were rounded to float16 and are float32 again: what loading gives after storing half.

    Raises:
        ValueError: a weight is too large for float16.
    """
    twin = copy.deepcopy(encoder)
    twin.load_state_dict(_stored(encoder, "float16"))
    return twin.eval()


def _stored(encoder: Encoder, precision: str) -> dict[str, Tensor]:
    """The tensors as a file holds them: parameters in this precision, buffers as they are.

    Rounding the mean image of a centred encoder would move features ten times as much as rounding all its weights.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be {' or '.join(PRECISIONS)}; got {precision!r}.")
    stored = {name: tensor.contiguous() for name, tensor in encoder.state_dict().items()}
    for name, parameter in encoder.named_parameters():
        stored[name] = parameter.detach().to(PRECISIONS[precision]).contiguous()
        if bool(stored[name].isinf().any()) and not bool(parameter.isinf().any()):
            raise ValueError(f"{name} is beyond 65,504, the most that float16 holds: store it as float32.")
    return stored


def _read_weights(directory: Path, encoder: Encoder, precision: str) -> dict[str, Tensor]:
    path, expected = directory / WEIGHTS_FILE, encoder.state_dict()
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise ValueError(f"{directory} has no {WEIGHTS_FILE}; only safetensors are read.") from None
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}); save or download the encoder again.") from None
    weights = {name: tensor for name, tensor in weights.items() if not name.startswith(encoder.unread)}
    problems = [f"missing {name}" for name in expected if name not in weights]
    problems += [f"unknown {name}" for name in weights if name not in expected]
    problems += [
        f"{name} has shape {tuple(weights[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    problems += [
        f"{name} is {str(weights[name].dtype).removeprefix('torch.')} and not {precision}"
        for name, _ in encoder.named_parameters()
        if name in weights and weights[name].dtype is not PRECISIONS[precision]
    ]
    problems += [f"{name} is not finite" for name, t in weights.items() if not torch.isfinite(t).all()]
    if problems:
        raise ValueError(f"{path} does not fit its config: {problems[0]}.")
    return weights


def check_pixels(pixels: Any, shape: tuple[int, ...]) -> None:
    """Refuse anything but a uint8 batch of frames of `shape`, array or tensor.

    Raises:
        ValueError: another dtype or shape.
    """
    got, dtype = tuple(getattr(pixels, "shape", ())), getattr(pixels, "dtype", type(pixels).__name__)
    if dtype is not torch.uint8 and str(dtype) != "uint8":
        raise ValueError(f"pixels must be uint8 in [0, 255]; got {str(dtype).removeprefix('torch.')}.")
    if len(got) != 4 or got[1:] != shape:
        raise ValueError(f"pixels must have shape (batch, {', '.join(map(str, shape))}); got {got}.")
