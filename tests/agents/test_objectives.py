import numpy as np
import pytest
import torch
from torch import nn

from latentctx_agents.nets import ImageDecoder
from latentctx_agents.nets.decoder import decoded_size
from latentctx_agents.representations import OBJECTIVES, Batch, ObjectiveConfig, StaticContrastive
from latentctx_agents.representations.objective import info_nce
from latentctx_envs.encoders import ConvNet, ConvNetConfig

NET = ConvNetConfig(image_size=(32, 32), channels=(4, 8), strides=(2, 2), keypoints=4, features=8)
CONFIG = ObjectiveConfig(action_dim=2, dropout=0.0, hidden=(16,), decoder_width=0.1)


def make_batch(size: int = 6, n_step: int = 1) -> Batch:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (2, size, 32, 32, 3), dtype=np.uint8)
    actions = rng.uniform(-1, 1, (size, n_step, 2)).astype(np.float32)
    return Batch(torch.from_numpy(frames[0]), torch.from_numpy(actions), torch.from_numpy(frames[1]))


def make(name: str, config: ObjectiveConfig = CONFIG):
    torch.manual_seed(0)
    encoder = ConvNet(NET)
    return encoder, OBJECTIVES[name](encoder, config)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_loss_changes_nothing_and_reaches_the_encoder(name):
    encoder, objective = make(name)
    before = {k: v.clone() for k, v in (encoder.state_dict() | objective.state_dict()).items()}
    batch = make_batch()
    loss, _ = objective.loss(encoder, batch)
    loss.backward()
    assert all(torch.equal(v, before[k]) for k, v in (encoder.state_dict() | objective.state_dict()).items())
    assert loss.ndim == 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_loss_falls_when_it_is_minimised(name):
    encoder, objective = make(name)
    optimizer = torch.optim.Adam([*encoder.parameters(), *objective.parameters()], lr=3e-3)
    batch = make_batch()
    losses = []
    for _ in range(40):
        loss, _ = objective.loss(encoder, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_inverse_dynamics_is_the_error_of_the_first_action_between_two_frames():
    encoder, objective = make("inverse_dynamics", ObjectiveConfig(action_dim=2, dropout=0.0, n_step=3))
    batch = make_batch(n_step=3)
    loss, _ = objective.loss(encoder, batch)
    joined = torch.cat([encoder(batch.pixels), encoder(batch.next_pixels)], dim=1)
    expected = ((objective.head(joined) - batch.actions[:, 0]) ** 2).mean()
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("name", ["inverse_dynamics", "behavior_cloning"])
def test_only_inverse_dynamics_looks_at_the_second_frame(name):
    encoder, objective = make(name)
    batch = make_batch()
    other = batch._replace(next_pixels=batch.pixels)
    changed = objective.loss(encoder, batch)[0] != objective.loss(encoder, other)[0]
    assert bool(changed) == (name == "inverse_dynamics") == objective.uses_next


def test_implicit_forward_dynamics_needs_all_actions_of_n_steps():
    encoder, objective = make("implicit_forward_dynamics", ObjectiveConfig(action_dim=2, n_step=3))
    batch = make_batch(n_step=3)
    actions = batch.actions.clone()
    actions[:, 2] += 1.0
    one, two = objective.loss(encoder, batch)[0], objective.loss(encoder, batch._replace(actions=actions))[0]
    assert one != two


@pytest.mark.parametrize("name", ["behavior_cloning", "explicit_forward_dynamics", "static_contrastive"])
def test_objectives_of_one_step_refuse_more_in_words(name):
    with pytest.raises(ValueError, match=r"n_step=1; got 2"):
        make(name, ObjectiveConfig(action_dim=2, n_step=2))


def test_explicit_forward_dynamics_is_zero_for_a_perfect_decoder():
    encoder, objective = make("explicit_forward_dynamics")
    batch = make_batch()
    target = batch.next_pixels.permute(0, 3, 1, 2).float() / 255 - 0.5

    class Perfect(nn.Module):
        def forward(self, _):
            return target

    objective.decoder = Perfect()
    assert objective.loss(encoder, batch)[0].item() == 0.0


def test_decoder_seeds_are_the_papers_at_its_image_sizes():
    assert decoded_size(16) == 84
    assert decoded_size(25) == 120
    assert ImageDecoder(8, (84, 84), width=0.05)(torch.zeros(2, 8)).shape == (2, 3, 84, 84)


def test_info_nce_of_indistinguishable_rows_is_log_of_their_number():
    loss, metrics = info_nce(torch.ones(8, 4), torch.ones(8, 4), 1.0)
    assert loss.item() == pytest.approx(np.log(8), abs=1e-5)
    assert 0.0 <= metrics["accuracy"] <= 1.0


def test_info_nce_of_matching_orthogonal_rows_at_low_temperature_is_zero():
    loss, metrics = info_nce(torch.eye(8), 3 * torch.eye(8), 0.01)
    assert loss.item() == pytest.approx(0.0, abs=1e-5)
    assert metrics["accuracy"] == 1.0


def test_static_objective_asks_for_two_views_of_one_frame():
    assert StaticContrastive.same_frame
    assert not any(kind.same_frame for name, kind in OBJECTIVES.items() if name != "static_contrastive")
