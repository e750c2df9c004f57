import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

from latentctx_agents.optim import OptimizerConfig, Training, run_resumable
from latentctx_agents.runs import MetricsLog, RunFolder, read_metrics

CONFIG = OptimizerConfig(steps=20, batch_size=8, learning_rate=1e-2, log_every=5)


def make_training(steps_done: int = 0, folder=None) -> Training:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    return Training([net], CONFIG, np.random.default_rng(0))


def loss_of(training: Training):
    def loss():
        x = torch.from_numpy(training.rng.normal(size=(8, 3)).astype(np.float32))
        return (training.modules[0](x) - x.sum(1, keepdim=True)).square().mean(), {"extra": 1.0}

    return loss


def weights(training: Training) -> list[torch.Tensor]:
    return [p.detach().clone() for p in training.modules.parameters()]


def test_a_resumed_training_ends_with_the_very_same_weights(tmp_path):
    whole = make_training()
    list(whole.run(loss_of(whole)))
    first = make_training()
    for step, _ in first.run(loss_of(first)):
        if step == 10:
            break
    first.save(tmp_path)
    second = make_training()
    torch.manual_seed(123)  # another process starts with another generator
    assert second.restore(tmp_path)
    assert second.step == 10
    list(second.run(loss_of(second)))
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(second), strict=True))


@pytest.mark.parametrize("place", ["loss", "step"])
def test_an_interruption_within_a_step_resumes_to_the_very_same_weights(tmp_path, monkeypatch, place):
    def train(folder, calls=(), dies=None):
        training = make_training()
        loss, step, count = loss_of(training), training._stepper.step, iter(range(100))

        def interrupted(stage, call):
            def run(*arguments, **options):
                result = call(*arguments, **options)
                if stage == place and next(count) == dies:  # the batch is drawn, or weights were moved
                    raise KeyboardInterrupt
                return result

            return run

        monkeypatch.setattr(training._stepper, "step", interrupted("step", step))
        folder.mkdir(exist_ok=True)
        list(run_resumable(training, interrupted("loss", loss), folder))
        return training

    whole = weights(train(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", dies=7)
    assert (tmp_path / "cut" / "checkpoint.safetensors").exists() == (place == "loss")
    for one, other in zip(weights(train(tmp_path / "cut")), whole, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    rows = [
        [{k: v for k, v in row.items() if k != "seconds"} for row in read_metrics(tmp_path / name)]
        for name in ("whole", "cut")
    ]
    assert rows[0] == rows[1]  # means over the very same steps


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    training = make_training()
    running = run_resumable(training, loss_of(training), tmp_path)
    next(running)
    other = make_training()
    with pytest.raises(ValueError, match="trained in by another process: wait for it"):
        next(run_resumable(other, loss_of(other), tmp_path))  # a lock knows files, not processes
    running.close()
    assert [step for step, _ in run_resumable(other, loss_of(other), tmp_path)] == [10, 15, 20]


def test_metrics_come_as_means_every_few_steps_and_the_rate_decays_to_zero():
    training = make_training()
    rows = list(training.run(loss_of(training)))
    assert [step for step, _ in rows] == [5, 10, 15, 20]
    assert all(metrics["extra"] == pytest.approx(1.0) for _, metrics in rows)
    assert training._stepper.learning_rate < 0.01 * CONFIG.learning_rate


def test_nothing_to_restore_says_so(tmp_path):
    assert not make_training().restore(tmp_path)


def test_a_truncated_checkpoint_is_refused_in_one_line_and_stays(tmp_path):
    training = make_training()
    training.save(tmp_path)
    file = tmp_path / "checkpoint.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match="remove it to start over") as error:
        make_training().restore(tmp_path)
    assert "\n" not in str(error.value)
    assert file.exists()


@pytest.mark.parametrize("field", ["steps", "batch_size", "learning_rate", "log_every"])
def test_impossible_optimiser_numbers_are_refused(field):
    with pytest.raises(ValueError, match=r"start|above"):
        OptimizerConfig(**{"steps": 1, "batch_size": 1, "learning_rate": 0.1, "log_every": 1, field: 0})


def test_a_run_folder_that_was_begun_from_something_else_is_refused(tmp_path):
    (tmp_path / "metrics.csv").touch()
    RunFolder(tmp_path, CONFIG)
    RunFolder(tmp_path, CONFIG, {"world model": "a"})  # it did not say from which
    RunFolder(tmp_path, CONFIG, {"world model": "a"})
    with pytest.raises(ValueError, match="begun from another world model: choose another folder"):
        RunFolder(tmp_path, CONFIG, {"world model": "b"})
    RunFolder(tmp_path, CONFIG, {"world model": "a", "dataset": "c"})  # it did not say of which data
    with pytest.raises(ValueError, match="begun from another dataset"):
        RunFolder(tmp_path, CONFIG, {"world model": "a", "dataset": "d"})


def test_a_run_folder_of_another_config_is_refused_once_something_was_done(tmp_path):
    RunFolder(tmp_path / "run", OptimizerConfig(steps=1, batch_size=1, learning_rate=1.0))
    RunFolder(tmp_path / "run", CONFIG)  # the other was refused or killed before it began
    (tmp_path / "run" / "metrics.csv").touch()
    RunFolder(tmp_path / "run", CONFIG)
    with pytest.raises(ValueError, match="another config"):
        RunFolder(tmp_path / "run", OptimizerConfig(steps=1, batch_size=1, learning_rate=1.0))
    assert json.loads((tmp_path / "run" / "config.json").read_text())["steps"] == 20
    assert json.loads((tmp_path / "run" / "versions.json").read_text())["packages"]["mujoco"] == "3.3.0"


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: OptimizerConfig
    sizes: tuple[int, ...] = (1, 2)
    parts: tuple[OptimizerConfig, ...] = ()


def test_a_damaged_config_is_told_and_a_file_is_no_run_folder(tmp_path):
    RunFolder(tmp_path / "run", CONFIG)
    (tmp_path / "run" / "metrics.csv").touch()
    (tmp_path / "run" / "config.json").write_text("")
    with pytest.raises(ValueError, match=r"config.json is damaged: remove it to go on"):
        RunFolder(tmp_path / "run", CONFIG)
    with pytest.raises(ValueError, match="is a file: choose a folder"):
        RunFolder(tmp_path / "run" / "config.json", CONFIG)


def test_a_run_from_before_an_option_goes_on_with_its_default(tmp_path):
    RunFolder(tmp_path, Outer(inner=CONFIG, parts=(CONFIG,)))
    (tmp_path / "metrics.csv").touch()
    file = tmp_path / "config.json"
    written = json.loads(file.read_text())
    del written["inner"]["warm_up"], written["sizes"]
    file.write_text(json.dumps(written))
    for other in (
        Outer(inner=dataclasses.replace(CONFIG, warm_up=3), parts=(CONFIG,)),
        Outer(inner=CONFIG, sizes=(1,), parts=(CONFIG,)),
        Outer(inner=CONFIG),
    ):
        with pytest.raises(ValueError, match="another config"):
            RunFolder(tmp_path, other)
    RunFolder(tmp_path, Outer(inner=CONFIG, parts=(CONFIG,)))
    written["inner"]["unknown"] = 1
    file.write_text(json.dumps(written))
    with pytest.raises(ValueError, match="another config"):
        RunFolder(tmp_path, Outer(inner=CONFIG, parts=(CONFIG,)))


def test_a_run_from_before_a_metric_goes_on_with_it(tmp_path):
    log = MetricsLog(tmp_path)
    log.write(1, {"loss": 0.5})
    log.close()
    log = MetricsLog(tmp_path, start=1)
    log.write(2, {"loss": 0.25, "elbo": 3.0})
    log.write(3, {"loss": 0.125, "elbo": 4.0})
    log.close()
    rows = read_metrics(tmp_path)
    assert [row["loss"] for row in rows] == [0.5, 0.25, 0.125]
    assert np.isnan(rows[0]["elbo"]) and [row["elbo"] for row in rows[1:]] == [3.0, 4.0]


def test_metrics_after_the_checkpoint_are_dropped_on_resume_and_a_torn_line_is_ignored(tmp_path):
    log = MetricsLog(tmp_path)
    for step in (5, 10, 15):
        log.write(step, {"loss": float(step)})
    log.close()
    with (tmp_path / "metrics.csv").open("a") as stream:
        stream.write("20,")
    again = MetricsLog(tmp_path, start=10)
    again.write(15, {"loss": 1.5})
    again.close()
    assert [(row["step"], row["loss"]) for row in read_metrics(tmp_path)] == [(5, 5.0), (10, 10.0), (15, 1.5)]
