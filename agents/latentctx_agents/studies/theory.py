"""The claims of arXiv 2305.16985 as two small experiments: contexts that hide the state, curves that are hard to draw."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

from latentctx_agents.results import Measurement
from latentctx_agents.theory.decoder_complexity import Curve, CurveSetting, train
from latentctx_agents.theory.linear_contexts import (
    ADDITIVE,
    OBSERVABLE,
    SIGN_FLIP,
    VISIBLE_GOAL,
    LinearSetting,
    measure,
)

SAMPLES = (64, 128, 256, 1024, 4096, 16384)  # windows of toy 1, one step
STEP_SAMPLES = (128, 1024, 16384)  # windows of toy 1, several steps
STEPS = (1, 2, 4, 8)  # between the two observations of a window
CHAIN_NOISE = 0.05  # of the process, so that velocities cannot be had from the positions' exact differences

CURVE_SAMPLES = (10, 30, 100, 300, 1000, 3000)
WIDTHS = (2, 4, 8, 16, 64)
HARD = Curve(height=2.0, frequency=10.0)
HARD_SAMPLES = (100, 300, 1000, 3000)
HARD_WIDTH = 32
FREQUENCIES = (2.0, 10.0 / 3.0, 5.0, 7.0, 10.0)  # of the fast wave
FREQUENCY_SAMPLES = (100, 1000, 3000)
LONGER = 4  # times the gradient steps
METHODS = ("inverse_dynamics", "explicit_forward_dynamics")


def measure_linear_contexts(seeds: Sequence[int] = range(10)) -> Iterator[Measurement]:
    """Downstream errors of all encoders over samples, then of inverse dynamics over the steps of a window.

    Args:
        seeds: each a world, a pretraining set and a downstream task.
    """
    compared = ("inverse_dynamics", "behavior_cloning", "explicit_forward_dynamics")
    for context in (SIGN_FLIP, ADDITIVE, OBSERVABLE, VISIBLE_GOAL):
        for samples in SAMPLES:
            without = ("raw",) if samples == SAMPLES[0] else ()  # learns nothing from them
            setting = LinearSetting(context=context, samples=samples)
            yield from _linear("theory_contexts", setting, seeds, (*compared, *without))
    for base in (LinearSetting(), LinearSetting(dynamics="chain", process_noise=CHAIN_NOISE)):
        for context, samples, steps in product((SIGN_FLIP, ADDITIVE), STEP_SAMPLES, STEPS):
            setting = replace(base, context=context, samples=samples, steps=steps)
            yield from _linear("theory_steps", setting, seeds, ("inverse_dynamics",))


def _linear(
    study: str, setting: LinearSetting, seeds: Sequence[int], methods: tuple[str, ...]
) -> Iterator[Measurement]:
    for seed in seeds:
        for method, found in measure(setting, seed, methods).items():
            # the overlap belongs to the question what more steps do to the directions that are found
            for metric in ("error", "overlap") if study == "theory_steps" else ("error",):
                yield Measurement(
                    study=study,
                    world="",
                    dataset="",
                    method=method,
                    setting={
                        "context": setting.context.name,
                        "dynamics": setting.dynamics,
                        "steps": setting.steps,
                        "samples": setting.samples,
                    },
                    seed=seed,
                    metric=metric,
                    value=found[metric],
                )


def curve_settings(steps: int = 4000) -> list[tuple[str, CurveSetting]]:
    """Every setting of toy 2 with the study it belongs to.

    Args:
        steps: gradient steps; `LONGER` times as many where the study asks whether more of them help.
    """
    base = CurveSetting(steps=steps)
    cells = []
    for method in METHODS:
        mine = replace(base, method=method)
        cells += [("theory_samples", replace(mine, samples=samples)) for samples in CURVE_SAMPLES]
        cells += [("theory_width", replace(mine, width=width)) for width in WIDTHS]
        hard = replace(mine, curve=HARD, width=HARD_WIDTH)
        cells += [("theory_harder_curve", replace(hard, samples=samples)) for samples in HARD_SAMPLES]
        for frequency in FREQUENCIES:
            wavy = replace(mine, curve=Curve(frequency=frequency))
            cells += [("theory_frequency", replace(wavy, samples=samples)) for samples in FREQUENCY_SAMPLES]
            if method == "explicit_forward_dynamics":  # inverse dynamics has nothing left to gain
                cells.append(("theory_frequency", replace(wavy, steps=LONGER * steps)))
        if method == "explicit_forward_dynamics":
            cells.append(("theory_harder_curve", replace(hard, steps=LONGER * steps)))
    return cells


def measure_decoder_complexity(seeds: Sequence[int] = range(8), steps: int = 4000) -> Iterator[Measurement]:
    """Loss and linear probe of both methods over samples, widths and curves; a setting of two studies is trained once.

    Args:
        seeds: trained as one batch of networks.
        steps: gradient steps of most settings.
    """
    trained = {}
    for study, setting in curve_settings(steps):
        if setting not in trained:
            trained[setting] = train(setting, seeds)
        outcome, curve = trained[setting], setting.curve
        for metric, values in (("loss", outcome.loss), ("probe_r2", outcome.probe_r2)):
            for seed, value in zip(seeds, values.tolist(), strict=True):
                yield Measurement(
                    study=study,
                    world="",
                    dataset="",
                    method=setting.method,
                    setting={
                        "samples": setting.samples,
                        "width": setting.width,
                        "steps": setting.steps,
                        "height": curve.height,
                        "frequency": round(curve.frequency, 3),
                    },
                    seed=seed,
                    metric=metric,
                    value=value,
                )
