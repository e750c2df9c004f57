"""Theory of inverse dynamics: both toys give the numbers they are told about, from windows and networks that add up."""

import dataclasses

import numpy as np
import pytest
import torch

from latentctx_agents.cli import main
from latentctx_agents.results import read_results
from latentctx_agents.studies import theory
from latentctx_agents.theory.decoder_complexity import (
    BOUND,
    Curve,
    CurveSetting,
    draw_transitions,
    encode,
    initial_weights,
    judge,
    losses,
    probe_r2,
    train,
)
from latentctx_agents.theory.figures import select, values_over
from latentctx_agents.theory.linear_contexts import (
    ADDITIVE,
    ENCODERS,
    OBSERVABLE,
    SIGN_FLIP,
    VISIBLE_GOAL,
    LinearSetting,
    draw_world,
    measure,
    overlap,
    sample_windows,
)

SEEDS = range(10)
FD = "explicit_forward_dynamics"


def mean_errors(context, samples, **kwargs):
    """Mean downstream error of inverse dynamics, cloning and forward dynamics over ten worlds."""
    setting = LinearSetting(context=context, samples=samples, **kwargs)
    found = [measure(setting, seed) for seed in SEEDS]
    return [
        np.mean([each[m]["error"] for each in found]) for m in ("inverse_dynamics", "behavior_cloning", FD)
    ]


def test_contexts_that_cancel_hide_the_state_from_cloning_with_any_number_of_windows():
    few, many = mean_errors(SIGN_FLIP, 128), mean_errors(SIGN_FLIP, 16384)
    assert few == pytest.approx([0.0, 1.07, 1.27], abs=0.12)
    assert many == pytest.approx([0.0, 1.01, 1.31], abs=0.12)
    assert max(few[0], many[0]) < 0.01


def test_goals_that_do_not_cancel_only_slow_cloning_down():
    few, more, many = (mean_errors(ADDITIVE, samples) for samples in (128, 1024, 16384))
    assert few == pytest.approx([0.0, 0.78, 1.20], abs=0.12)
    assert more == pytest.approx([0.0, 0.25, 1.30], abs=0.06)
    assert many == pytest.approx([0.0, 0.02, 1.26], abs=0.06)
    assert max(few[0], more[0], many[0]) < 0.01 < many[1] < 0.04


@pytest.mark.parametrize("context", [OBSERVABLE, VISIBLE_GOAL], ids=lambda context: context.name)
def test_cloning_needs_the_fewest_windows_where_the_observation_tells_what_decides_the_action(context):
    inverse, cloning, forward = mean_errors(context, 64)
    assert cloning < 0.02
    assert inverse < 0.2
    assert forward == pytest.approx(0.10, abs=0.05)
    inverse, cloning, forward = mean_errors(context, 16384)
    assert max(inverse, cloning) < 0.01
    assert forward == pytest.approx(1.15, abs=0.12)


def test_without_an_encoder_twenty_samples_are_worse_than_no_action():
    found = [measure(LinearSetting(samples=64), seed, ("raw",))["raw"]["error"] for seed in SEEDS]
    assert np.mean(found) == pytest.approx(1.82, abs=0.25)


def of_steps(metric, **kwargs):
    """Mean over ten worlds of inverse dynamics, for one, two and eight steps."""
    means = []
    for steps in (1, 2, 8):
        setting = LinearSetting(steps=steps, samples=1024, **kwargs)
        found = [measure(setting, seed, ("inverse_dynamics",))["inverse_dynamics"][metric] for seed in SEEDS]
        means.append(np.mean(found))
    return means


def test_more_steps_only_cost_samples_where_one_step_shows_the_whole_state():
    for context in (SIGN_FLIP, ADDITIVE):
        one, two, eight = of_steps("error", context=context)
        assert one < 0.01 < two < 0.12 < eight


def test_a_second_step_finds_what_the_first_does_not_show():
    chain = {"dynamics": "chain", "process_noise": theory.CHAIN_NOISE}
    one, two, eight = of_steps("error", **chain)
    assert two < 0.01 < eight < 0.2 < 0.5 < one
    one, two, _ = of_steps("overlap", **chain)
    assert one < 0.75 < 0.999 < two


def test_one_step_finds_the_velocities_and_not_the_positions():
    setting = LinearSetting(dynamics="chain", process_noise=theory.CHAIN_NOISE, samples=16384)
    world = draw_world(setting, np.random.default_rng(0))
    windows = sample_windows(world, setting, np.random.default_rng(1), setting.samples)
    basis = np.linalg.qr(ENCODERS["inverse_dynamics"](windows, 4, setting.ridge))[0]
    found = np.linalg.norm(basis.T @ world.state_directions, axis=0)  # [positions; velocities]
    assert found[2:].min() > 0.99
    assert found[:2].max() < 0.9


def test_without_process_noise_exact_positions_stand_in_for_velocities():
    one, *_ = of_steps("overlap", dynamics="chain")
    assert one > 0.99


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("context", [SIGN_FLIP, ADDITIVE, VISIBLE_GOAL], ids=lambda context: context.name)
def test_a_window_follows_its_dynamics_and_keeps_its_context(context, steps):
    setting = LinearSetting(context=context, steps=steps, action_noise=0.0)
    world = draw_world(setting, np.random.default_rng(0))
    windows = sample_windows(world, setting, np.random.default_rng(1), 50)
    before, after = windows.observations @ world.view, windows.next_observations @ world.view
    pull = np.linalg.solve(world.gain, windows.actions.T).T  # goal + sign s, of a context unknown here
    signs = np.sign((pull * before[:, :4]).sum(axis=1, keepdims=True)) if context is SIGN_FLIP else -1.0
    goals = pull - signs * before[:, :4]
    if context is VISIBLE_GOAL:
        assert goals == pytest.approx(before[:, 4:8])
        assert before[:, 4:8] == pytest.approx(after[:, 4:8])
    states = before[:, :4]
    for _ in range(steps):
        states = states @ world.drift.T + (goals + signs * states) @ world.gain.T @ world.push.T
    assert states == pytest.approx(after[:, :4])


def test_distractors_keep_their_size_and_know_nothing_of_the_state():
    setting = LinearSetting(steps=4)
    world = draw_world(setting, np.random.default_rng(0))
    windows = sample_windows(world, setting, np.random.default_rng(1), 20_000)
    before, after = windows.observations @ world.view, windows.next_observations @ world.view
    assert after[:, 4:].std(axis=0) == pytest.approx(np.full(28, 3.0), abs=0.1)
    kept = (before[:, 4:] * after[:, 4:]).mean(axis=0) / 9.0
    assert kept == pytest.approx(np.full(28, 0.9**4), abs=0.05)
    assert np.abs(before[:, :4].T @ after[:, 4:]).max() / 20_000 < 0.15


def test_the_overlap_is_the_share_of_the_states_directions():
    setting = LinearSetting()
    world = draw_world(setting, np.random.default_rng(0))
    mixed = np.random.default_rng(1).standard_normal((4, 4))
    assert overlap(world.state_directions @ mixed, world) == pytest.approx(1.0)
    assert overlap(world.view[:, 4:8] @ mixed, world) == pytest.approx(0.0, abs=1e-12)
    assert overlap(world.view[:, 2:6] @ mixed, world) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"samples": 0}, ("samples", "at least 1", "0")),
        ({"dynamics": "chain", "states": 3}, ("even number", "3")),
        ({"context": VISIBLE_GOAL, "distractors": 2}, ("takes the place of 4", "there are 2")),
    ],
)
def test_linear_settings_that_cannot_be_are_refused(kwargs, words, refuses):
    with refuses(*words):
        LinearSetting(**kwargs)


def test_a_curve_setting_that_cannot_be_is_refused(refuses):
    with refuses("width", "at least 1", "0"):
        CurveSetting(width=0)


@pytest.mark.parametrize("method", theory.METHODS)
@pytest.mark.parametrize("samples", [20, 90])  # all samples in every step, and a draw of them
def test_networks_trained_as_one_batch_are_those_trained_alone(method, samples):
    setting = CurveSetting(method=method, samples=samples, batch=32, width=16, steps=60, validation=200)
    together = train(setting, (3, 7, 11))
    for place, seed in enumerate((3, 7, 11)):
        alone = train(setting, (seed,))
        for name in ("loss", "probe_r2", "weights"):
            torch.testing.assert_close(
                getattr(together, name)[place], getattr(alone, name)[0], rtol=1e-3, atol=1e-5
            )
    generators = [torch.Generator().manual_seed(3)]
    draw_transitions(setting.curve, samples, generators)
    start = initial_weights(setting, generators)
    assert (together.weights[0] - start[0]).abs().mean() > 0.01  # they did train
    assert (together.weights[0] - together.weights[1]).abs().mean() > 0.1  # each its own network


def test_one_network_of_the_batch_computes_what_torchs_layers_do():
    setting = CurveSetting(width=8)
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    weights = initial_weights(setting, generators)
    batch = draw_transitions(setting.curve, 50, generators)
    layers, start = [], 0
    for inputs, outputs in setting.layers:
        layer = torch.nn.Linear(inputs, outputs)
        matrix, bias = weights[1, start:].split_with_sizes(
            [inputs * outputs, weights.shape[1] - start - inputs * outputs]
        )
        layer.weight.data = matrix.reshape(inputs, outputs).T
        layer.bias.data = bias[:outputs]
        layers.append(layer)
        start += (inputs + 1) * outputs
    assert start == weights.shape[1]
    encoder, *head = layers
    codes = [encoder(seen[1]) for seen in (batch.observations, batch.next_observations)]
    torch.testing.assert_close(codes[0], encode(weights, setting, batch.observations)[1])
    hidden = torch.tanh(head[1](torch.tanh(head[0](torch.cat(codes, dim=-1)))))
    expected = (head[2](hidden) - batch.actions[1]).square().mean()
    torch.testing.assert_close(expected, losses(weights, setting, batch)[1])


def test_forward_dynamics_is_asked_for_the_next_observation():
    setting = CurveSetting(method=FD, width=8)
    batch = draw_transitions(setting.curve, 50, [torch.Generator().manual_seed(0)])
    zeros = torch.zeros_like(initial_weights(setting, [torch.Generator()]))
    expected = batch.next_observations.square().mean()
    torch.testing.assert_close(losses(zeros, setting, batch)[0], expected)


def test_moves_end_at_the_bounds_and_are_recorded_as_made():
    curve = Curve(height=0.5, frequency=3.0)
    found = draw_transitions(curve, 5000, [torch.Generator().manual_seed(0)])
    x, after = found.observations[0, :, 0], found.next_observations[0, :, 0]
    torch.testing.assert_close(x, found.states[0])
    torch.testing.assert_close(after - x, found.actions[0, :, 0])
    assert float(after.abs().max()) == BOUND
    assert 0.03 < float((after.abs() == BOUND).float().mean()) < 0.07  # a twentieth, on average
    wave = 0.5 * (torch.sin(x) + torch.sin(3.0 * x))
    torch.testing.assert_close(found.observations[0, :, 1], wave)


def test_the_probe_is_the_squared_correlation():
    rng = np.random.default_rng(0)
    states = rng.standard_normal((2, 300))
    codes = np.stack([2.0 - 3.0 * states[0], states[1] + rng.standard_normal(300)])
    found = probe_r2(torch.tensor(codes), torch.tensor(states)).tolist()
    assert found == pytest.approx([1.0, np.corrcoef(codes[1], states[1])[0, 1] ** 2])
    constant = probe_r2(torch.full((1, 300), 4.0), torch.tensor(states[:1]))
    assert constant.tolist() == [0.0]


SHORT = CurveSetting(samples=100, steps=800)


@pytest.fixture(scope="module")
def short():
    """Both methods after 800 steps, four seeds each."""
    torch.set_num_threads(1)
    return {m: train(dataclasses.replace(SHORT, method=m), range(4)) for m in theory.METHODS}


def test_a_hundred_samples_are_enough_for_inverse_dynamics_and_not_for_forward_dynamics(short):
    inverse, forward = (float(short[method].loss.median()) for method in theory.METHODS)
    assert inverse < 1e-3
    assert forward > 0.05


def test_the_state_is_read_off_either_code_so_that_the_toy_says_nothing_about_encoders(short):
    assert min(float(outcome.probe_r2.median()) for outcome in short.values()) > 0.99


def test_a_narrow_decoder_cannot_draw_the_curve_that_a_narrow_head_reads():
    narrow = CurveSetting(samples=1000, width=4, steps=800)
    inverse, forward = (
        float(train(dataclasses.replace(narrow, method=method), range(4)).loss.median())
        for method in theory.METHODS
    )
    assert inverse < 0.01
    assert forward > 0.2


def test_the_frequency_of_the_curve_costs_forward_dynamics_alone(short):
    slow = {
        method: train(dataclasses.replace(SHORT, method=method, curve=Curve(frequency=1.5)), range(4))
        for method in theory.METHODS
    }
    forward = slow[FD].loss.median(), short[FD].loss.median()
    assert forward[1] > 10 * forward[0]
    assert float(slow["inverse_dynamics"].loss.median()) < 1e-3


def test_sample_sizes_are_judged_on_the_same_fresh_points():
    weights = initial_weights(SHORT, [torch.Generator().manual_seed(0)])
    one, other = (judge(weights, dataclasses.replace(SHORT, samples=n), [5]) for n in (10, 1000))
    assert one.loss == other.loss != judge(weights, SHORT, [6]).loss


def test_the_study_writes_both_csvs_and_draws_them_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(theory, "SAMPLES", (64, 128))
    monkeypatch.setattr(theory, "STEP_SAMPLES", (64, 80, 96))
    monkeypatch.setattr(theory, "CURVE_SAMPLES", (10, 100))
    command = ["study", "theory", "--out", str(tmp_path), "--images", str(tmp_path / "images")]
    main([*command, "--seeds", "2", "--steps", "2"])
    rows = read_results([tmp_path / "linear_contexts.csv", tmp_path / "decoder_complexity.csv"])
    assert {row["study"] for row in rows} == {
        "theory_contexts", "theory_steps", "theory_samples", "theory_width", "theory_harder_curve", "theory_frequency",
    }  # fmt: skip
    assert {row["seed"] for row in rows} == {0, 1}
    errors = select(rows, "theory_contexts", "error", "inverse_dynamics", context="additive")
    assert list(values_over(errors, "samples")) == [64, 128]
    pictures = sorted((tmp_path / "images").iterdir())
    assert [picture.name for picture in pictures] == [
        "theory_decoder_complexity.png",
        "theory_linear_contexts.png",
    ]
    drawn = [picture.read_bytes() for picture in pictures]
    for picture in pictures:
        picture.unlink()
    before = (tmp_path / "linear_contexts.csv").read_bytes()
    main([*command, "--draw-only"])
    assert [picture.read_bytes() for picture in pictures] == drawn
    assert (tmp_path / "linear_contexts.csv").read_bytes() == before
    assert capsys.readouterr().out.count("results: ") == 4
