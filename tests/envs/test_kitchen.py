"""The kitchen: upstream's physics, hidden sequences, honest noise, the authors' view, exact replay."""

import pickle
import sys
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from latentctx_envs.checks import check_latent_env
from latentctx_envs.kitchen.context import TEST, TRAIN, KitchenContext
from latentctx_envs.kitchen.model import CAMERA, START, kitchen_limits, kitchen_model
from latentctx_envs.kitchen.subtasks import GOALS, SUBTASKS, reached

ID = "LatentCtx-Kitchen-v0"
KINDS = ("state", "position", "pixels")
SMALL: dict[str, Any] = {"image_size": 32, "render_profile": "turbo"}
SILENT: dict[str, Any] = {"robot_noise_ratio": 0.0, "object_noise_ratio": 0.0}
FIRST = TEST[0]  # microwave, kettle, light switch, slide cabinet
REST = np.zeros(9, np.float32)


def put(data: mujoco.MjData, *names: str) -> None:
    """Move objects to their goals by hand."""
    for name in names:
        data.qpos[GOALS[name].columns] = GOALS[name].values


def rewards(env: gym.Env[Any, Any], *groups: tuple[str, ...]) -> list[float]:
    """The rewards of steps before each of which some objects are put to their goals."""
    base: Any = env.unwrapped
    collected = []
    for names in groups:
        put(base._physics, *names)
        collected.append(env.step(REST)[1])
    return collected


def test_physics_and_completions_are_upstreams_to_the_bit() -> None:
    import gymnasium_robotics

    gym.register_envs(gymnasium_robotics)
    subtasks = ("kettle", "hinge cabinet", "microwave", "top burner")
    theirs = gym.make(
        "FrankaKitchen-v1",
        tasks_to_complete=list(subtasks),
        terminate_on_tasks_completed=False,
        disable_env_checker=True,  # it shares arrays between steps
        **SILENT,
    )
    ours: Any = gym.make(ID, subtasks=subtasks, terminate_on_success=False, max_episode_steps=300, **SILENT)
    base, upstream = ours.unwrapped, theirs.unwrapped
    seen, expected = ours.reset(seed=0)[0], theirs.reset(seed=0)[0]
    rng, paid, events = np.random.default_rng(0), [], []
    for step in range(280):
        if step % 20 == 0:
            action = rng.uniform(-1.0, 1.0, 9).astype(np.float32)
        if step in (60, 120, 121, 200):
            for data in (base._physics, upstream.data):
                put(data, *[subtasks[(60, 120, 121, 200).index(step)]])
        seen, reward, *_ = ours.step(action)
        expected, their_reward, *_, info = theirs.step(action.astype(np.float64))
        assert np.array_equal(base._physics.qpos, upstream.data.qpos)
        assert np.array_equal(base._physics.qvel, upstream.data.qvel)
        assert np.array_equal(seen, expected["observation"].astype(np.float32))
        paid.append((reward, their_reward))
        events.append((set(base.completed), set(info["episode_task_completions"])))
    assert all(reward == their_reward for reward, their_reward in paid)
    assert all(names == their_names for names, their_names in events)
    assert sum(reward for reward, _ in paid) == 4.0
    theirs.close()


def test_camera_is_where_the_authors_free_camera_is() -> None:
    scene = kitchen_model()
    data = mujoco.MjData(scene)
    mujoco.mj_forward(scene, data)
    free, fixed = mujoco.MjvCamera(), mujoco.MjvCamera()
    free.distance, free.azimuth, free.elevation, free.lookat = 2.2, 70, -35, (-0.2, 0.5, 2.0)
    fixed.type, fixed.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, scene.camera(CAMERA).id
    lenses = []
    for camera in (free, fixed):
        view = mujoco.MjvScene(scene, maxgeom=500)
        mujoco.mjv_updateScene(
            scene, data, mujoco.MjvOption(), None, camera, mujoco.mjtCatBit.mjCAT_ALL, view
        )
        lens = view.camera[0]
        lenses.append([*lens.pos, *lens.forward, *lens.up, lens.frustum_bottom, lens.frustum_top])
    np.testing.assert_allclose(*lenses, atol=1e-6)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"context": "observed", "context_split": "test", "observation": "position"},
        {
            "subtasks": FIRST,
            "ordered": True,
            "action_repeat": 2,
            "noise_scale": 0.3,
            "object_noise_ratio": 0.0,
        },
    ],
    ids=["observed", "one-sequence"],
)
def test_kitchen_keeps_the_contract_with_its_own_arguments(kwargs: dict[str, Any]) -> None:
    check_latent_env(ID, **kwargs)
    with gym.make(ID, **kwargs) as env:
        sb3_check_env(env.unwrapped, warn=False)


def test_a_hidden_sequence_shows_in_no_observation_and_an_observed_one_as_its_vector() -> None:
    contexts = [{"subtasks": names} for names in TEST[:2]]
    for mode in ("hidden", "observed"):
        with gym.make(ID, observation=KINDS, context=mode, **SMALL) as env:
            (one, _), (two, _) = (env.reset(seed=3, options={"context": context}) for context in contexts)
        assert all(np.array_equal(one[kind], two[kind]) for kind in KINDS)
    np.testing.assert_array_equal(one["context"], KitchenContext(TEST[0]).as_array())


def test_a_context_vector_is_a_one_hot_row_for_each_subtask_in_order() -> None:
    rows = KitchenContext(FIRST).as_array().reshape(4, 7)
    assert [SUBTASKS[column] for column in rows.argmax(axis=1)] == list(FIRST)
    assert rows.sum() == 4.0


def test_splits_are_the_papers_three_sequences_and_all_other_orders() -> None:
    assert len(TEST) == 3 and len(TRAIN) == len(set(TRAIN)) == 837 and not set(TRAIN) & set(TEST)
    assert tuple(reversed(FIRST)) in TRAIN
    rng = np.random.default_rng(0)
    assert {KitchenContext.sample(rng, "test").subtasks for _ in range(40)} == set(TEST)
    with gym.make(ID, context_split="train") as env:
        drawn = [env.unwrapped.draw_context(rng).subtasks for _ in range(300)]  # type: ignore[attr-defined]
    assert set(drawn) <= set(TRAIN) and len(set(drawn)) > 200


def test_each_subtask_is_paid_once_and_the_fourth_ends_the_episode() -> None:
    with gym.make(ID, subtasks=FIRST) as env:
        base: Any = env.unwrapped
        env.reset(seed=0)
        assert rewards(env, (), ("slide cabinet", "top burner"), ("microwave",), (), ("kettle",)) == [
            0.0, 1.0, 1.0, 0.0, 1.0,
        ]  # fmt: skip
        assert base.completed == ("slide cabinet", "microwave", "kettle")
        put(base._physics, "light switch")
        _, reward, terminated, _, info = env.step(REST)
        assert (reward, terminated, info["success"]) == (1.0, True, True)
        env.reset()
        assert base.completed == ()


def test_in_order_only_the_next_subtask_can_be_completed() -> None:
    with gym.make(ID, subtasks=FIRST, ordered=True) as env:
        base: Any = env.unwrapped
        env.reset(seed=0)
        assert rewards(env, ("slide cabinet",), ("kettle",), ("microwave",)) == [0.0, 0.0, 2.0]
        assert base.completed == ("microwave", "kettle")
        assert rewards(env, ("light switch",)) == [2.0]


def test_noise_is_bounded_by_its_ratios_and_moves_the_robot() -> None:
    seen, moved = {}, {}
    for ratio in (0.0, 0.1):
        with gym.make(ID, observation="position", robot_noise_ratio=ratio) as env:
            base: Any = env.unwrapped
            rows = [env.reset(seed=seed)[0] - base._physics.qpos for seed in range(30)]
            seen[ratio] = np.abs(rows).max(axis=0)
            env.step(REST)
            moved[ratio] = base._physics.qpos[:7].copy()
    bounds = 0.1 * kitchen_limits().noise[:30]
    assert (seen[0.1] <= bounds + 1e-6).all() and (seen[0.1] > 0.7 * bounds - 1e-6).all()
    assert seen[0.1][:9].max() > 0.009
    assert seen[0.0][:9].max() < 1e-6 < seen[0.0][9:].max()
    assert np.abs(moved[0.1] - moved[0.0]).max() > 1e-3


def test_noise_of_a_seed_is_the_same_again() -> None:
    with gym.make(ID) as env:
        runs = [[env.reset(seed=4)[0], env.step(REST)[0], env.reset()[0]] for _ in range(2)]
    assert data_equivalence(*runs, exact=True)
    assert not np.array_equal(runs[0][0], runs[0][2])


def test_position_is_robot_and_objects_of_the_state() -> None:
    with gym.make(ID, observation=("state", "position")) as env:
        seen, _ = env.reset(seed=0)
    expected = np.concatenate([seen["state"][:9], seen["state"][18:39]])
    np.testing.assert_array_equal(seen["position"], expected)
    assert seen["state"].shape == (59,)


@pytest.mark.parametrize("noisy", [False, True])
def test_frames_of_stored_states_are_those_seen_live(noisy: bool) -> None:
    kwargs = {"observation": "pixels", "noisy_pixels": noisy, "object_noise_ratio": 1.0, **SMALL}
    with gym.make(ID, **kwargs) as env:
        base: Any = env.unwrapped
        live = [env.reset(seed=1)[0]]
        states = [base.physics_state()]
        for _ in range(3):
            live.append(env.step(np.ones(9, np.float32))[0])
            states.append(base.physics_state())
        context = base.current_context
        base._physics.qpos[:] = 0.0  # a frame does not look at the running episode
        for frame, state in reversed(list(zip(live, states, strict=True))):
            np.testing.assert_array_equal(base.frame(state, context), frame)
        states[0][-59:-29] = states[0][:30]  # what was seen becomes what is true
        assert np.array_equal(base.frame(states[0], context), live[0]) != noisy


def test_a_restored_state_goes_on_to_the_bit() -> None:
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1.0, 1.0, (40, 9)).astype(np.float32)
    with gym.make(ID, **SILENT) as env:
        base: Any = env.unwrapped
        _, info = env.reset(seed=2)
        for action in actions[:30]:
            env.step(action)
        state = base.physics_state()
        expected = [(env.step(action)[0], base.physics_state()) for action in actions[30:]]
        options = {"context": info["context"], "physics_state": state}
        env.reset(seed=8, options=options)
        assert np.array_equal(base.physics_state(), state)
        found = [(env.step(action)[0], base.physics_state()) for action in actions[30:]]
    assert data_equivalence(found, expected, exact=True)


def test_restoring_counts_what_is_at_its_goal_and_does_not_pay_it_again() -> None:
    with gym.make(ID, subtasks=FIRST) as env:
        base: Any = env.unwrapped
        env.reset(seed=0)
        rewards(env, ("kettle",), ("microwave",))
        state = base.physics_state()
        env.reset(options={"physics_state": state})
        assert base.completed == ("microwave", "kettle")  # in the order of the sequence
        assert rewards(env, ()) == [0.0]


def test_a_pickled_environment_goes_on_alike_in_the_middle_of_an_episode() -> None:
    with gym.make(ID, subtasks=FIRST, observation=("state", "pixels"), **SMALL) as env:
        base: Any = env.unwrapped
        env.reset(seed=1)
        rewards(env, ("kettle",))
        data = pickle.dumps(env)
        assert len(data) < 100_000  # the model is not in it
        with pickle.loads(data) as twin:
            assert twin.unwrapped.completed == base.completed == ("kettle",)
            for _ in range(3):
                both = (env.step(np.ones(9, np.float32)), twin.step(np.ones(9, np.float32)))
                assert data_equivalence(*both, exact=True)
            assert data_equivalence(env.reset(), twin.reset(), exact=True)
        env.close()


def test_the_picture_is_upright() -> None:
    with gym.make(ID, observation="pixels", **SMALL) as env:
        frame = env.reset(seed=0)[0].astype(float)
    blue = frame[..., 2] - frame[..., 0]
    assert blue[:10].mean() > blue[-10:].mean() + 10  # blue cabinets hang above, the robot stands below


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"subtasks": FIRST[:3]}, ("four different ones", "top burner", "'microwave'")),
        ({"subtasks": (*FIRST[:3], "microwave")}, ("four different ones",)),
        ({"subtasks": (*FIRST[:3], "oven")}, ("four different ones", "oven")),
        ({"subtasks": "kettle"}, ("four different ones", "kettle")),
        ({"robot_noise_ratio": -0.1}, ("robot_noise_ratio", "finite number from 0", "-0.1")),
        ({"object_noise_ratio": "loud"}, ("object_noise_ratio", "loud")),
        ({"camera": "nowhere"}, ("authors", "left_cap", "nowhere")),
    ],
)
def test_what_does_not_exist_is_refused(
    kwargs: dict[str, Any], words: tuple[str, ...], refuses: Callable[..., Any]
) -> None:
    with refuses(*words):
        gym.make(ID, **kwargs)


def test_bad_states_and_steps_without_an_episode_are_refused(refuses: Callable[..., Any]) -> None:
    with gym.make(ID, disable_env_checker=True) as env:
        base: Any = env.unwrapped
        with refuses("call reset() first", error=RuntimeError):
            base.step(REST)
        for state in (np.zeros(30), np.full(147, np.nan), "here"):
            with refuses("147 finite numbers"):
                env.reset(seed=0, options={"physics_state": state})


def test_a_missing_package_is_named_when_the_kitchen_is_made(
    monkeypatch: pytest.MonkeyPatch, refuses: Callable[..., Any]
) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium_robotics", None)
    monkeypatch.setattr(
        "latentctx_envs.kitchen.env.kitchen_model", kitchen_model.__wrapped__
    )  # nothing cached
    with refuses("gymnasium_robotics", "latentctx-envs[kitchen]", error=ImportError):
        gym.make(ID)


def test_making_the_kitchen_does_not_import_the_package_that_it_reads(run_python: Any) -> None:
    run_python(
        "import sys, gymnasium, latentctx_envs\n"
        f"gymnasium.make('{ID}').reset()\n"
        "assert 'gymnasium_robotics' not in sys.modules"
    )


def test_nothing_is_reached_at_the_start() -> None:
    assert not reached(START).any()


def test_fixed_subtasks_start_where_the_seed_starts_with_any():
    fixed = ("microwave", "kettle", "light switch", "slide cabinet")
    with gym.make("LatentCtx-Kitchen-v0", subtasks=fixed) as one, gym.make("LatentCtx-Kitchen-v0") as any_of:
        started = [env.reset(seed=0)[0] for env in (one, any_of)]
        assert np.array_equal(*started)
