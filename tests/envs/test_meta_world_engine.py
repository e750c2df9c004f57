"""Meta-World's engine: upstream's numbers to the last bit, its defects left behind."""

import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
import pytest
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.policies import ENV_POLICY_MAP
from metaworld.sawyer_xyz_env import SawyerXYZEnv
from metaworld.types import Task
from metaworld.utils import reward_utils
from scipy.spatial.transform import Rotation

from latentctx_envs.meta_world import arithmetic, make_sawyer
from latentctx_envs.meta_world.engine import Sawyer
from latentctx_envs.meta_world.resets import HAND_MEETS_OBJECT, get_state

# A free object that is grasped, a joint that the hand meets on its way to its start, two objects, an inherited
# reward, a reward that remembers.
FEW = ("pick-place-v3", "door-lock-v3", "hammer-v3", "drawer-open-v3", "bin-picking-v3")
REST = tuple(sorted(set(ALL_V3_ENVIRONMENTS) - set(FEW)))
ALL = [*FEW, *(pytest.param(task, marks=pytest.mark.slow) for task in REST)]
STEPS = 100
POSITIONS = ("xpos", "xquat", "geom_xpos", "geom_xmat", "cam_xpos", "light_xpos")

pytestmark = pytest.mark.filterwarnings("ignore:Constant.s. may be too high")  # of the scripted policies


def upstream(task: str, rand_vec: np.ndarray) -> SawyerXYZEnv:
    """A fresh environment of upstream's, with the goal observed, set up in its own way."""
    env = ALL_V3_ENVIRONMENTS[task]()
    set_rand_vec(env, task, rand_vec)
    return env


def set_rand_vec(env: SawyerXYZEnv, task: str, rand_vec: np.ndarray) -> None:
    wanted = {"env_cls": ALL_V3_ENVIRONMENTS[task], "rand_vec": rand_vec, "partially_observable": False}
    env.set_task(Task(task, pickle.dumps(wanted)))


def assert_same_start(theirs: SawyerXYZEnv, ours: Sawyer, rand_vec: np.ndarray) -> np.ndarray:
    """Reset both; observation, physics and all positions that a renderer reads are equal bit for bit."""
    expected, _ = theirs.reset()
    found, info = ours.reset(rand_vec=rand_vec)
    assert found.tobytes() == expected.tobytes() and found.dtype == expected.dtype and info == {}
    assert get_state(theirs.model, theirs.data).tobytes() == ours.physics_state().tobytes()
    for name in POSITIONS:
        np.testing.assert_array_equal(getattr(ours.data, name), getattr(theirs.data, name), name)
    for name in ("body_pos", "site_pos", "eq_data"):
        np.testing.assert_array_equal(getattr(ours.model, name), getattr(theirs.model, name), name)
    return found


def assert_same_step(theirs: SawyerXYZEnv, ours: Sawyer, action: np.ndarray) -> np.ndarray:
    expected, found = theirs.step(action), ours.step(action)
    assert found[0].tobytes() == expected[0].tobytes()
    assert found[1] == pytest.approx(expected[1], rel=0, abs=1e-12)
    assert found[2:] == expected[2:]
    return found[0]


def scripted(task: str, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Actions of upstream's demonstrator, a little noisy, so that pads and objects also meet askew."""
    policy = ENV_POLICY_MAP[task]()

    def act(observation: np.ndarray) -> np.ndarray:
        noisy = policy.get_action(observation) + rng.normal(scale=0.05, size=4)
        return np.clip(noisy, -1, 1).astype(np.float32)

    return act


@pytest.mark.parametrize("task", ALL)
def test_rollouts_equal_those_of_upstream_bit_for_bit(task: str) -> None:
    rng = np.random.default_rng(0)
    ours = make_sawyer(task)
    first, second = (ours.sample_rand_vec(rng) for _ in range(2))
    theirs = upstream(task, first)
    observation, act = assert_same_start(theirs, ours, first), scripted(task, rng)
    for _ in range(STEPS):
        observation = assert_same_step(theirs, ours, act(observation))
    assert get_state(theirs.model, theirs.data).tobytes() == ours.physics_state().tobytes()
    set_rand_vec(theirs, task, second)
    assert_same_start(theirs, ours, second)


@pytest.mark.parametrize("task", ALL)
def test_the_walk_of_the_hand_depends_on_the_random_vector_only_where_the_list_says(task: str) -> None:
    env, rng = make_sawyer(task), np.random.default_rng(1)
    walked = set()
    for _ in range(8):
        env.sample_rand_vec(rng)
        mujoco.mj_resetData(env.model, env.data)
        env.data.mocap_pos[0], env.data.mocap_quat[0] = env.hand_init_pos, (1, 0, 1, 0)
        env.data.ctrl[:] = (-1, 1)
        mujoco.mj_step(env.model, env.data, nstep=50 * env.frame_skip)
        walked.add(env.physics_state().tobytes())
    assert (len(walked) > 1) == (task in HAND_MEETS_OBJECT)


def test_the_grasp_of_a_rollout_is_seen() -> None:
    """Else the equality of contacts would have been tested on none."""
    env, rng = make_sawyer("pick-place-v3"), np.random.default_rng(0)
    observation, _ = env.reset(seed=0)
    act, grasps = scripted("pick-place-v3", rng), []
    for _ in range(STEPS):
        observation, _, _, _, info = env.step(act(observation))
        grasps.append(info["grasp_success"])
    assert set(grasps) == {0.0, 1.0}


@pytest.mark.parametrize("task", ["push-v3", "handle-press-v3"])
def test_a_reset_does_not_depend_on_what_was_before(task: str) -> None:
    env = make_sawyer(task)
    rand_vec = env.sample_rand_vec(np.random.default_rng(0))
    fresh, _ = env.reset(rand_vec=rand_vec)
    state = env.physics_state()
    env.reset(seed=1)
    for _ in range(20):
        env.step(np.array([1.0, 1.0, -1.0, 1.0]))
    again, _ = env.reset(rand_vec=rand_vec)
    assert again.tobytes() == fresh.tobytes() and env.physics_state().tobytes() == state.tobytes()


def test_a_seed_decides_the_random_vectors() -> None:
    one, other = make_sawyer("reach-v3"), make_sawyer("reach-v3")
    one.reset(seed=7), other.reset(seed=7)
    first = one.rand_vec
    one.reset(), other.reset()
    assert (one.rand_vec == other.rand_vec).all() and (one.rand_vec != first).any()
    drawn = [env.sample_rand_vec(np.random.default_rng(3)) for env in (one, other)]
    np.testing.assert_array_equal(*drawn)


def test_a_restored_physics_state_goes_on_bit_for_bit() -> None:
    env, other = make_sawyer("pick-place-v3"), make_sawyer("pick-place-v3")
    env.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-1, 1, (60, 4))
    for action in actions[:30]:
        env.step(action)
    other.reset(rand_vec=env.rand_vec)
    other.set_physics_state(env.physics_state())
    for action in actions[30:]:
        expected, found = env.step(action), other.step(action)
        assert found[0].tobytes() == expected[0].tobytes() and found[1] == expected[1]
    assert env.physics_state().tobytes() == other.physics_state().tobytes()


def test_a_hidden_goal_is_zeros_and_changes_nothing_else() -> None:
    seen, blind = make_sawyer("reach-v3"), make_sawyer("reach-v3", goal_observed=False)
    with_goal, _ = seen.reset(seed=0)
    without, _ = blind.reset(seed=0)
    assert without[:36].tobytes() == with_goal[:36].tobytes()
    assert with_goal[36:].any() and not without[36:].any()
    assert seen.observation_space.contains(with_goal) and blind.observation_space.contains(without)


def test_steps_in_three_parts_are_steps() -> None:
    whole, parts = make_sawyer("reach-v3"), make_sawyer("reach-v3")
    whole.reset(seed=0), parts.reset(seed=0)
    action = np.full(4, 0.5, dtype=np.float32)
    parts.command(action)
    parts.advance()
    found, expected = parts.outcome(action), whole.step(action)
    assert found[0].tobytes() == expected[0].tobytes() and found[1:] == expected[1:]


def test_quaternions_are_scipys_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    turned = rng.normal(size=(2000, 4))
    turned[::2] = turned[::2].round()  # ties of the largest component
    turned[::2, 0] += 1e-9
    for quaternion in turned:
        flat = np.empty(9)
        mujoco.mju_quat2Mat(flat, quaternion / np.linalg.norm(quaternion))
        matrix = flat.reshape(3, 3)
        assert arithmetic.quaternion(matrix).tobytes() == Rotation.from_matrix(matrix).as_quat().tobytes()


@pytest.mark.parametrize("sigmoid", ["long_tail", "gaussian"])
@pytest.mark.parametrize("margin", [0, 1e-9, 0.3, np.float64(0.2)])
def test_tolerance_is_upstreams(margin: Any, sigmoid: Any) -> None:
    for x in [0.0, 0.05, *np.random.default_rng(0).normal(scale=0.2, size=300)]:
        expected = reward_utils.tolerance(x, (0.0, 0.05), margin, sigmoid)
        assert arithmetic.tolerance(x, (0.0, 0.05), margin, sigmoid) == expected


@pytest.mark.parametrize("x", [np.array([0.1, -0.7, 3.0]), np.float64(-0.3), np.eye(2), np.float32([1, 2])])
def test_norm_is_numpys(x: Any) -> None:
    assert arithmetic.norm(x) == np.linalg.norm(x)


def test_upstreams_own_environments_keep_their_helpers() -> None:
    make_sawyer("pick-place-v3")
    import metaworld.envs.sawyer_pick_place_v3 as module

    assert module.Rotation is Rotation and module.np is np and module.reward_utils is reward_utils
    assert reward_utils.tolerance is not arithmetic.tolerance


def test_pickling_rebuilds_the_environment() -> None:
    env = make_sawyer("reach-v3", goal_observed=False)
    copy = pickle.loads(pickle.dumps(env))
    np.testing.assert_array_equal(copy.reset(seed=4)[0], env.reset(seed=4)[0])


def test_an_environment_that_is_dropped_frees_its_simulation() -> None:
    env = make_sawyer("reach-v3")
    env.reset(seed=0)
    data = weakref.ref(env.data)
    del env
    gc.collect()
    assert data() is None


def test_importing_the_package_does_not_import_metaworld(run_python: Callable[..., Any]) -> None:
    run_python("import sys, latentctx_envs.meta_world; assert 'metaworld' not in sys.modules")


def test_refusals_are_one_line_in_words(refuses: Callable[..., Any]) -> None:
    with refuses("no task 'fly-v3'", "reach-v3"):
        make_sawyer("fly-v3")
    env = make_sawyer("reach-v3")
    with refuses("call reset() first"):
        env.step(np.zeros(4))
    with refuses("between", "reach-v3", "9.0"):
        env.reset(rand_vec=np.array([9.0, 0.6, 0.02, 0.0, 0.8, 0.1]))
    with refuses("between", "got [0.0]"):
        env.reset(rand_vec=np.zeros(1))
    with refuses("no options", "goal"):
        env.reset(options={"goal": 1})
    with refuses("rand_vec", error=NotImplementedError):
        env.set_task(None)
    env.reset(seed=0)
    with refuses("shape (4,)", "(3,)"):
        env.step(np.zeros(3))
    with refuses("physics state", "(2,)"):
        env.set_physics_state(np.zeros(2))


def test_a_random_vector_that_upstream_would_reject_for_ever_is_refused(refuses: Callable[..., Any]) -> None:
    env = make_sawyer("coffee-pull-v3")
    box = env._random_reset_space
    vector = (box.low + box.high) / 2
    vector[:3] = vector[3:] = np.clip(vector[:3], box.low[3:], box.high[3:])
    vector = np.clip(vector, box.low, box.high)
    with refuses("too close", "coffee-pull-v3"):
        env.reset(rand_vec=vector)
    with refuses("call reset() first"):
        env.step(np.zeros(4))


def test_an_episode_ends_after_upstreams_number_of_steps(refuses: Callable[..., Any]) -> None:
    env = make_sawyer("reach-v3")
    env.reset(seed=0)
    env.curr_path_length = env.max_path_length - 1
    assert env.step(np.zeros(4))[3] is True
    with refuses("call reset() first"):
        env.step(np.zeros(4))
