"""The zoo: encoders that ship with the package, what is known of each, and how one is published."""

import itertools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latentctx_agents.results import read_results
from latentctx_agents.runs import command_line, read_metrics
from latentctx_agents.stats import bootstrap_interval
from latentctx_agents.zoo_inputs import TRAIN, compared, trial_of
from latentctx_envs.encoders import Encoder, load_encoder
from latentctx_envs.encoders.base import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE, read_config, rounded
from latentctx_envs.encoders.registry import ZOO, zoo_names
from latentctx_envs.encoders.stateful import StatefulEncoder

LIMIT = 1_200_000  # [bytes] of an encoder's folder
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
STAGES = ("", "tokenizer", "dynamics")  # of trainings: folders in a run that hold metrics
POOLED = ("goal", "episodes")  # parts of a result's setting that one line of the card sums up
OF_TRAINING = ("pretrain", "n_step")  # parts that baselines without pretraining do not share


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of `latentctx encoders list`."""

    name: str
    objective: str
    dataset: str
    input_size: str  # "47 x 47" [pixels], or "15 numbers"
    features: int
    bytes: int  # of the weights on disk
    success: str  # e.g. "0.83 (demos 3)"; empty if it is not recorded


def entries(zoo: Path = ZOO) -> list[Entry]:
    """What is known of each encoder in a zoo, sorted by name."""
    return [_entry(zoo / name) for name in zoo_names(zoo)]


def _entry(directory: Path) -> Entry:
    config = read_config(directory)
    training, published = config.get("training", {}), config.get("published", {})
    encoder = load_encoder(directory)
    own = [row for row in published.get("results", []) if row["own"]]
    return Entry(
        name=directory.name,
        objective=training.get("objective", ""),
        dataset=training.get("dataset", ""),
        input_size=_size(encoder.input_shape),
        features=encoder.features_dim,
        bytes=(directory / WEIGHTS_FILE).stat().st_size,
        success="; ".join(f"{row['success']:.2f} ({_short(row['setting'])})" for row in own),
    )


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} numbers" if len(shape) == 1 else f"{shape[0]} x {shape[1]}"


def _short(setting: Mapping[str, Any]) -> str:
    if "demos" not in setting:
        return json.dumps(dict(setting))
    return f"{setting['demos']} demonstration{'s' * (setting['demos'] != 1)}"


def card(name: str, zoo: Path = ZOO) -> str:
    """The card of an encoder in a zoo.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in zoo_names(zoo):
        raise ValueError(
            f"no encoder {name!r} in the zoo; there are {', '.join(zoo_names(zoo)) or 'none yet'}."
        )
    return (zoo / name / CARD_FILE).read_text()


def publish(run: Path, name: str, results: Iterable[Path] = (), *, zoo: Path = ZOO) -> Path:
    """Store a finished run's encoder in a zoo, in half precision, with its card; returns the folder.

    An image encoder, a world model's filter, or a video model's encoder. Its dataset or clips must be there: the card
    says how much half precision changed the features of their beginning.

    Args:
        run: folder of a finished training; its encoder is in `<run>/encoder`.
        name: of the encoder in the zoo; one of this name is replaced.
        results: CSVs that hold success measured on this encoder, of image encoders.
        zoo: folder of the zoo.

    Raises:
        ValueError: bad name, unfinished run, too large an encoder, another dataset, or results of other encoders.
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"a name in the zoo is lower-case words with hyphens, as point-mass-id; got {name!r}."
        )
    source = _finished(run)
    encoder, record = rounded(source), source.training_record
    rows = read_results(results)
    if rows and isinstance(source, StatefulEncoder):
        raise ValueError(
            f"results are of image encoders' policies, {run} holds a {type(source).__name__}: leave --results out."
        )
    trial = trial_of(source)
    published = {
        "name": name,
        "world": trial.world,
        "arguments": trial.arguments,
        "content_hash": encoder.content_hash(),
        **compared(source, encoder, trial),
        "numbers": sum(tensor.numel() for tensor in encoder.state_dict().values()),
        "bytes": stored_bytes(encoder),
        "command": command_line(),
        "metrics": _last_metrics(run),
        "results": _success(rows, record, trial.world) if rows else [],
    }
    encoder.save_pretrained(zoo / name, precision="float16", published=published)
    return zoo / name


def _finished(run: Path) -> Encoder:
    """The encoder of a finished run, small enough for the zoo.

    Raises:
        ValueError: the run has none, does not say how it was made, or is too large.
    """
    directory = run / "encoder"
    if not (directory / CONFIG_FILE).is_file():
        raise ValueError(
            f"{run} holds no finished pretraining (no {directory / CONFIG_FILE}); give the folder that "
            "`latentctx pretrain`, `world-model` or `pvdr pretrain` finished (--out FOLDER)."
        )
    encoder = load_encoder(directory)
    missing = sorted(
        {"objective", "dataset", "dataset_hash", "config", "seed"} - set(encoder.training_record)
    )
    if missing:
        raise ValueError(f"{directory} does not say its {', '.join(missing)}; {TRAIN}.")
    size = stored_bytes(encoder)
    if size > LIMIT:
        raise ValueError(f"{directory} would take {size:,} bytes in the zoo; the limit is {LIMIT:,}.")
    return encoder


def _last_metrics(run: Path) -> dict[str, dict[str, float]]:
    """The last row of metrics of each stage of a training, by its name; each is a mean since the row before."""
    found = {stage: read_metrics(run / stage) for stage in STAGES}
    return {
        stage: {
            name: value if name == "step" else float(f"{value:.4g}")
            for name, value in rows[-1].items()
            if name != "seconds"
        }
        for stage, rows in found.items()
        if rows
    }


def stored_bytes(encoder: Encoder) -> int:
    """What an encoder's numbers take in half precision."""
    buffers = sum(buffer.nbytes for buffer in encoder.buffers())
    return buffers + 2 * sum(parameter.numel() for parameter in encoder.parameters())


def _success(rows: list[dict[str, Any]], record: Mapping[str, Any], world: str) -> list[dict[str, Any]]:
    """Success of this encoder's method and, in the same settings, of the others: means over contexts.

    Rows of other worlds and seeds, or of other pretraining, belong to other encoders and are left out.

    Raises:
        ValueError: no row is of this encoder.
    """
    common = {"metric": "success", "seed": record["seed"], "world": world}
    found = [row for row in rows if all(row[name] == value for name, value in common.items())]
    own = [row for row in found if row["method"] == record["objective"] and _same_training(row, record)]
    if not own:
        config = record["config"]
        raise ValueError(
            f"the results hold no success of {record['objective']!r} in {world} with seed {record['seed']}, "
            f"{config.get('contexts')} pretraining contexts and n_step {config.get('n_step')}: "
            "they are not of this encoder."
        )
    settings = [_setting(row, *OF_TRAINING) for row in own]
    others = [
        row
        for row in found
        if row["method"] != record["objective"]
        and _setting(row, *OF_TRAINING) in settings
        and (not row["setting"].get("pretrain") or _same_training(row, record))
    ]
    chosen = sorted(own + others, key=_group)
    lines = [_line(list(group), record) for _, group in itertools.groupby(chosen, key=_group)]
    return sorted(lines, key=lambda line: (not line["own"], line["study"], json.dumps(line["setting"])))


def _same_training(row: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether what a row says of pretraining is true of this encoder; a row need not say anything."""
    config = record["config"]
    expected = {"pretrain": "contexts", "n_step": "n_step", "goal_visible": "goal_visible"}
    return all(
        row["setting"].get(said, config.get(name)) == config.get(name) for said, name in expected.items()
    )


def _setting(row: Mapping[str, Any], *left_out: str) -> dict[str, Any]:
    return {key: value for key, value in row["setting"].items() if key not in (*POOLED, *left_out)}


def _group(row: Mapping[str, Any]) -> tuple[str, ...]:
    return row["study"], row["dataset"], row["method"], json.dumps(_setting(row), sort_keys=True)


def _line(rows: list[dict[str, Any]], record: Mapping[str, Any]) -> dict[str, Any]:
    """One line of the card's table from the rows of one method in one setting."""
    values = np.array([row["value"] for row in rows])
    low, high = bootstrap_interval(values)
    facts = ("study", "dataset", "method", "seed", "hardware", "commit", "command")
    return {
        **{name: rows[0][name] for name in facts},
        "own": rows[0]["method"] == record["objective"],
        "setting": _setting(rows[0]),
        "success": round(float(values.mean()), 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "contexts": len(rows),
        "episodes": sum(row["setting"].get("episodes", 0) for row in rows),
    }
