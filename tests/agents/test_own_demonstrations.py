"""Learning from demonstrations of one's own: recorded in a world of ours, or by Minari alone in one of another project."""

import dataclasses
import json
import shutil

import gymnasium as gym
import minari
import numpy as np
import pytest
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer

from latentctx_agents import cells, pretrain
from latentctx_agents.aime.agent import AgentCard, load_agent
from latentctx_agents.aime.imitate import ImitationConfig, imitate
from latentctx_agents.cli import main
from latentctx_agents.finetune import choose_episodes, goals_of, load_demonstrations
from latentctx_agents.optim import OptimizerConfig
from latentctx_agents.policy_folder import FinetunedPolicy
from latentctx_agents.world_models.folder import load_world_model
from latentctx_agents.world_models.model import WorldModel
from latentctx_agents.world_models.train import WorldModelTraining, train_world_model
from latentctx_datasets import DemonstrationCollector, View, library
from latentctx_datasets.copies import export_pixels
from latentctx_datasets.identity import content_of
from latentctx_envs.encoders import load_encoder
from latentctx_envs.encoders.latent.config import WorldModelConfig
from latentctx_envs.encoders.latent.sensors import Sensors
from latentctx_envs.rollout import rollout
from latentctx_envs.wrappers import EncodeObservation

OWN = "mine/point-mass-v0"
FOREIGN = "mine/elsewhere-v0"
GOALS = ((0.1, 0.2), (-0.2, 0.0))


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setenv("LATENTCTX_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def recorded() -> str:
    """Two goals by turns, three episodes of each, by a controller that knows them."""
    with DemonstrationCollector(
        gym.make("LatentCtx-PointMass-v0", noise_scale=0.05, max_episode_steps=90), OWN
    ) as env:
        for seed in range(6):
            goal = GOALS[seed % 2]
            state, _ = env.reset(seed=seed, options={"context": {"goal": goal}})
            ended = False
            while not ended:
                action = np.clip(10.0 * (np.array(goal) - state[:2]), -1.0, 1.0).astype(np.float32)
                state, _, terminated, truncated, _ = env.step(action)
                ended = terminated or truncated
        env.create_dataset(demonstrator="controller")
    return OWN


class Camera(gym.Env):
    """A world elsewhere, which shows frames."""

    observation_space = spaces.Box(0, 255, (32, 32, 3), np.uint8)
    action_space = spaces.Box(-1.0, 1.0, (3,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._frame(), {}

    def step(self, action):
        return self._frame(), 0.0, False, False, {}

    def _frame(self):
        return self.np_random.integers(0, 256, (32, 32, 3), dtype=np.uint8)


def filmed(actions: spaces.Box = Camera.action_space, done: float = 0.0) -> str:
    """Three episodes of four steps of `Camera`, as Minari writes them."""
    env, episodes = Camera(), []
    for seed in range(3):
        frames = [env.reset(seed=seed)[0], *(env.step(None)[0] for _ in range(4))]
        episodes.append(
            EpisodeBuffer(
                id=seed,
                observations=np.stack(frames),
                actions=np.full((4, *actions.shape), done, np.float32),
                rewards=[0.0] * 4,
                terminations=[False] * 4,
                truncations=[False] * 3 + [True],
            )
        )
    minari.create_dataset_from_buffers(
        FOREIGN, episodes, observation_space=env.observation_space, action_space=actions,
        algorithm_name="x", author={"x"}, author_email={"x"}, code_permalink="x", description="Elsewhere.",
    )  # fmt: skip
    return FOREIGN


def test_episodes_of_one_context_are_one_goal_wherever_they_lie(recorded, refuses):
    assert goals_of(recorded) == [[0, 2, 4], [1, 3, 5]]
    drawn, others = choose_episodes(recorded, 1, 2, seed=0, held_out=5)
    assert sorted(drawn + others) == [1, 3, 5] and len(drawn) == 2
    with refuses("3 demonstrations of goal 1; asked for 4"):
        choose_episodes(recorded, 1, 4, seed=0)
    task = cells.task_of(recorded, 1)
    assert (task.env_id, task.context) == ("LatentCtx-PointMass-v0", {"goal": list(GOALS[1])})
    assert task.env_kwargs == {"noise_scale": 0.05, "max_episode_steps": 90}
    with refuses("has goals 0 to 1; got 2"):
        cells.task_of(recorded, 2)


def test_a_policy_meets_the_goal_as_hidden_as_its_demonstrations_did():
    settings = {"task": "reach-v3", "goal_visible": False, "max_episode_steps": 3}
    with DemonstrationCollector(gym.make("LatentCtx-MetaWorld-v0", **settings), OWN) as env:
        env.reset(seed=0)
        for _ in range(3):
            env.step(env.action_space.sample())
        env.create_dataset()
    task, seen = cells.task_of(OWN, 0), load_demonstrations(OWN, [0]).positions
    world = gym.make(task.env_id, observation="position", **task.env_kwargs)
    start, _ = world.reset(seed=0, options={"context": task.context})
    assert (start == seen[0]).all()


def test_imitators_of_episodes_without_a_time_limit_are_measured_with_the_usual_one():
    with DemonstrationCollector(gym.make("LatentCtx-PointMass-v0", max_episode_steps=-1), OWN) as env:
        env.reset(seed=0)
        for _ in range(3):
            env.step(env.action_space.sample())
        env.create_dataset()
    model = WorldModel(WorldModelConfig(), Sensors.of("point-mass", "state"), 2)
    assert cells.task_of(OWN, 0).env_kwargs == {}
    assert AgentCard.of(OWN, model).env_kwargs == {"observation": "state"}


def test_positions_are_not_read_from_frames(recorded, refuses):
    copy = export_pixels(recorded, pixels=8, profile="turbo")
    with refuses("holds frames and no states: name an encoder"):
        load_demonstrations(copy, [0])
    seen = load_demonstrations(copy, [0], View(image_size=8, render_profile="turbo"))
    assert seen.pixels.shape == (90, 8, 8, 3) and seen.positions.shape == (90, 0)


def test_an_encoder_and_a_policy_are_trained_on_own_demonstrations(recorded, tiny_pretrain, tmp_path, capsys):
    config = dataclasses.replace(tiny_pretrain, dataset=recorded, contexts=6)
    pretrain.pretrain(config, tmp_path / "run")
    words = ["--dataset", recorded, "--goal", "1", "--demos", "3", "--optimizer.steps", "300"]
    main(["finetune", *words, "--out", str(tmp_path / "policy")])
    policy = FinetunedPolicy.load(tmp_path / "policy")
    assert policy.card.env_kwargs["noise_scale"] == 0.05
    assert policy.success(20).mean() > 0.5
    main(
        ["finetune", *words, "--encoder", str(tmp_path / "run" / "encoder"), "--out", str(tmp_path / "seen")]
    )
    assert FinetunedPolicy.load(tmp_path / "seen").card.view.render_profile == "turbo"
    main(["data", "list"])
    assert OWN in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_encoder_is_trained_on_frames_of_another_projects_world_and_wraps_it(tiny_pretrain, tmp_path):
    config = dataclasses.replace(tiny_pretrain, dataset=filmed(), contexts=3)
    pretrain.pretrain(config, tmp_path)
    encoder = load_encoder(tmp_path / "encoder")
    assert (encoder.render_profile, encoder.family) == (None, None)
    assert len(encoder.training_record["dataset_hash"]) == 64
    env = EncodeObservation(Camera(), tmp_path / "encoder")
    assert env.reset(seed=0)[0].shape == (8,)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_frames_that_cannot_be_learned_from_are_refused_before_anything_is_trained(
    tiny_pretrain, tmp_path, refuses
):
    config = dataclasses.replace(tiny_pretrain, dataset=filmed(), contexts=4)
    with refuses("has 3 episodes; contexts=4", "contexts=3 for all"):
        pretrain.pretrain(config, tmp_path / "a")
    with refuses("names no contexts"):
        goals_of(FOREIGN)
    minari.delete_dataset(FOREIGN)
    filmed(spaces.Box(-2.0, 2.0, (1,), np.float32))
    config = dataclasses.replace(config, contexts=3)
    with refuses("actions must be vectors in [-1, 1]", "RescaleAction"):
        pretrain.pretrain(config, tmp_path / "b")
    minari.delete_dataset(FOREIGN)
    filmed(spaces.Box(-1.0, 1.0, (2, 2), np.float32))
    with refuses("actions must be vectors in [-1, 1]"):
        pretrain.pretrain(config, tmp_path / "c")
    for done in (np.nan, 1.5):  # what the space of the dataset does not have
        minari.delete_dataset(FOREIGN)
        filmed(done=done)
        with refuses("actions must be finite and in [-1, 1]", "episode 0"):
            pretrain.pretrain(config, tmp_path / str(done))


def test_a_policy_of_demonstrations_that_were_recorded_anew_is_refused(tmp_path, refuses):
    def recorded_with(action: float) -> None:
        shutil.rmtree(library.root() / OWN, ignore_errors=True)
        with DemonstrationCollector(gym.make("LatentCtx-PointMass-v0", max_episode_steps=12), OWN) as env:
            for seed in range(2):
                env.reset(seed=seed)
                for _ in range(12):
                    env.step(np.full(2, action, np.float32))
            env.create_dataset()

    optimizer = OptimizerConfig(steps=2, batch_size=2, learning_rate=1e-3)
    small = WorldModelConfig(deter=8, stoch=4, hidden=(8, 8))
    world_model = WorldModelTraining(dataset=OWN, length=5, model=small, optimizer=optimizer)
    config = ImitationConfig(dataset=OWN, demos=2, length=5, hidden=(8, 8), optimizer=optimizer)
    recorded_with(0.5)
    train_world_model(world_model, tmp_path / "model")
    agent = imitate(config, tmp_path / "model" / "model", tmp_path / "policy")
    assert agent.card.env_kwargs == {
        "max_episode_steps": 12,
        "observation": "state",
    }  # measured where it was shown
    recorded_with(-0.5)
    with refuses("was begun from another dataset"):
        imitate(config, tmp_path / "model" / "model", tmp_path / "policy")


def test_a_world_model_learns_from_a_dataset_without_a_recorded_hash(recorded, tmp_path):
    file = library.root() / recorded / "data" / "metadata.json"
    metadata = json.loads(file.read_text())
    del metadata["content_hash"]
    file.write_text(json.dumps(metadata))
    optimizer = OptimizerConfig(steps=2, batch_size=2, learning_rate=1e-3)
    small = WorldModelConfig(deter=8, stoch=4, hidden=(8, 8))
    config = WorldModelTraining(dataset=recorded, length=5, model=small, optimizer=optimizer)
    train_world_model(config, tmp_path)
    _, record = load_world_model(tmp_path / "model")
    assert record["dataset_hash"] == content_of(library.load(recorded))


def reached(
    dataset_id: str = "mine/reacher-v0", world: str | None = "Reacher-v5", episodes: int = 4, limit: int = 50
) -> str:
    """Episodes of Gymnasium's own arm at random actions, states and all, as Minari alone writes them."""
    with gym.make("Reacher-v5", max_episode_steps=limit) as env:
        buffers = []
        for seed in range(episodes):
            env.action_space.seed(seed)
            seen, actions = [env.reset(seed=seed)[0]], [env.action_space.sample() for _ in range(20)]
            seen += [env.step(action)[0] for action in actions]
            ends = {"terminations": [False] * 20, "truncations": [False] * 19 + [True]}
            buffers.append(
                EpisodeBuffer(
                    id=seed,
                    observations=np.stack(seen),
                    actions=np.stack(actions),
                    rewards=[0.0] * 20,
                    **ends,
                )
            )
        spaces_of = {"observation_space": env.observation_space, "action_space": env.action_space}
        minari.create_dataset_from_buffers(
            dataset_id,
            buffers,
            env=env if world else None,
            eval_env=env if world else None,
            **spaces_of,
            description="chance",
            algorithm_name="chance",
            author={"me"},
            author_email={"me@example.org"},
            code_permalink="https://example.org",
        )
    return dataset_id


TINY_MODEL = WorldModelTraining(
    dataset="mine/reacher-v0",
    model=WorldModelConfig(deter=16, stoch=4, hidden=(16,)),
    length=10,
    optimizer=OptimizerConfig(steps=3, batch_size=4, learning_rate=1e-3),
)
TINY_IMITATION = ImitationConfig(
    dataset="mine/shown-v0",
    demos=2,
    hidden=(16, 16),
    length=10,
    optimizer=OptimizerConfig(steps=3, batch_size=4, learning_rate=1e-3),
)


def test_a_body_of_another_project_is_learned_and_imitated(tmp_path, capsys):
    reached()
    reached("mine/shown-v0", episodes=2)
    model = train_world_model(TINY_MODEL, tmp_path / "model")
    assert model.sensors.family == "Reacher-v5" and model.sensors.decoded == {"state": (0, 10)}
    agent = imitate(TINY_IMITATION, tmp_path / "model" / "model", tmp_path / "run")
    again, _ = load_agent(tmp_path / "run" / "agent")
    returns = again.returns(3)
    assert returns.shape == (3,) and (returns < 0.0).all() and np.array_equal(returns, agent.returns(3))
    main(["evaluate", str(tmp_path / "run" / "agent"), "--episodes", "2"])
    assert json.loads(capsys.readouterr().out)["world"] == "Reacher-v5"
    seen = load_encoder(tmp_path / "model" / "encoder")
    assert seen.input_shape == (10,) and seen.followed_actions == 2


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_body_that_no_world_names_is_imitated_in_ones_own_loop(tmp_path, refuses):
    reached(world=None)
    reached("mine/shown-v0", world=None, episodes=2)
    train_world_model(TINY_MODEL, tmp_path / "model")
    agent = imitate(TINY_IMITATION, tmp_path / "model" / "model", tmp_path / "run")
    with refuses("a world that is not made here", "acting()"):
        agent.returns(2)
    env = gym.make("Reacher-v5")
    steps = list(rollout(env, agent.acting(), [{"seed": 0}]))
    assert len(steps) == 50 and all(np.abs(step.action).max() <= 1.0 for step in steps)


def test_a_world_from_elsewhere_with_a_limit_of_its_own_is_not_measured_under_another(monkeypatch):
    model = WorldModel(WorldModelConfig(), Sensors.of("Reacher-v5", "state", 10), 2)
    assert AgentCard.of(reached(), model).env_id == "Reacher-v5"
    assert not AgentCard.of(reached("mine/short-v0", limit=30), model).is_made_here
    unknown = AgentCard(env_id="Own-Reacher-v0")
    assert not unknown.is_made_here
    monkeypatch.setitem(gym.registry, unknown.env_id, gym.spec("Reacher-v5"))
    assert unknown.is_made_here


def test_states_of_another_length_or_body_are_refused(recorded, tmp_path, refuses):
    train_world_model(dataclasses.replace(TINY_MODEL, dataset=reached()), tmp_path / "model")
    with refuses("the world model is of the Reacher-v5; mine/point-mass-v0 shows the point-mass"):
        imitate(
            dataclasses.replace(TINY_IMITATION, dataset=recorded),
            tmp_path / "model" / "model",
            tmp_path / "run",
        )


def test_what_is_recorded_of_finer_actions_is_what_was_done(tmp_path):
    env = DemonstrationCollector(gym.make("LatentCtx-PointMass-v0", max_episode_steps=20), OWN)
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(20):
        env.step(rng.uniform(-1, 1, 2))  # float64; a dataset keeps the space's float32
    kept = env.create_dataset()[0]
    again = gym.make("LatentCtx-PointMass-v0")
    again.reset(seed=0)
    for action, state in zip(kept.actions, kept.infos["physics_state"][1:], strict=True):
        again.step(action)
        assert (again.unwrapped.physics_state() == state).all()
