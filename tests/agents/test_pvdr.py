"""PVDR: tokens, the evidence bound, pretraining and judging a model."""

import dataclasses
import json
import shutil

import gymnasium as gym
import numpy as np
import pytest
import torch
from tiny_pvdr import FEW, SHORT, TINY, draw_tokens

from latentctx_agents.cli.main import main
from latentctx_agents.optim import in_precision
from latentctx_agents.pvdr import judge, tokens
from latentctx_agents.pvdr.evidence import EvidenceConfig, evidence_loss
from latentctx_agents.pvdr.folder import VideoModel, load_video_model, videos_of
from latentctx_agents.pvdr.judge import parted
from latentctx_agents.pvdr.model import DynamicsModel
from latentctx_agents.pvdr.online import Online
from latentctx_agents.pvdr.pretrain import _record, pretrain
from latentctx_agents.pvdr.tokenizer import Tokenizer
from latentctx_agents.results import read_results
from latentctx_datasets.library import DatasetError
from latentctx_datasets.videos import open_clips
from latentctx_datasets.videos.joining import join
from latentctx_datasets.videos.push import build_push
from latentctx_envs.encoders import load_encoder
from latentctx_envs.encoders.dynamics.blocks import attend, merged, split_up
from latentctx_envs.encoders.dynamics.config import DynamicsConfig
from latentctx_envs.encoders.dynamics.tokenizer import FrameEncoder
from latentctx_envs.wrappers import VectorEncodeObservation


def test_a_video_models_encoder_remembers_each_environments_frames(video_model):
    model, _ = load_video_model(video_model)
    envs = gym.make_vec(
        "LatentCtx-PointMass-v0", num_envs=2, observation="pixels", image_size=64, autoreset_mode="SameStep"
    )
    seen = gym.make_vec(
        "LatentCtx-PointMass-v0", num_envs=2, observation="pixels", image_size=64, autoreset_mode="SameStep"
    )
    wrapped = VectorEncodeObservation(envs, video_model.parent / "encoder")
    features, _ = wrapped.reset(seed=0)
    frames, _ = seen.reset(seed=0)
    assert features.shape == (2, TINY.width)
    rng = np.random.default_rng(0)
    for _ in range(3):
        before = frames
        actions = rng.uniform(-1.0, 1.0, seen.action_space.shape).astype(np.float32)
        features = wrapped.step(actions)[0]
        frames = seen.step(actions)[0]
    context = np.stack([before, frames], axis=1)
    found = torch.from_numpy(tokens.tokenize(model.tokenizer, context).astype(np.int64))
    with torch.inference_mode():
        assert np.allclose(features, model.dynamics.prior.features(found).numpy(), atol=1e-5)
        alone = model.dynamics.prior.features(found[:, 1:].expand(-1, 2, -1)).numpy()
    fresh = load_encoder(video_model.parent / "encoder")
    with torch.inference_mode():
        assert np.allclose(fresh(torch.from_numpy(frames)).numpy(), alone, atol=1e-5)
    wrapped.close()
    seen.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 18, "heads": 4},
        {"merge": 3},
        {"context": 0},
        {"tokenizer": {"codes": 40_000}},
        {"latent": -1},
    ],
)
def test_sizes_that_cannot_be_built_are_refused(wrong):
    with pytest.raises(ValueError):
        DynamicsConfig(**wrong)


def test_a_patch_changes_its_own_token_and_no_other():
    torch.manual_seed(0)
    encoder = FrameEncoder(TINY.tokenizer)
    frame = torch.full((1, 64, 64, 3), 80, dtype=torch.uint8)
    codes = encoder.codes(frame)
    frame[:, 16:24, 40:48] = 200  # patch (2, 5)
    moved = (encoder.codes(frame) != codes).any(-1)[0]
    assert moved.nonzero().flatten().tolist() == [2 * 8 + 5]


@pytest.mark.parametrize("merge", [1, 2, 4])
def test_squares_of_tokens_are_split_up_as_they_were_merged(merge):
    values = torch.arange(2 * 3 * 64 * 5.0).view(2, 3, 64, 5)
    assert torch.equal(split_up(merged(values, merge), merge), values)
    first = merged(values, merge)[0, 0, 0]
    assert torch.equal(first[-5:], values[0, 0, (merge - 1) * 8 + merge - 1])


@pytest.mark.parametrize("merge", [1, 2])
@pytest.mark.parametrize("copy", [0.0, 0.6, 30.0])
def test_the_likeliest_tokens_are_those_of_the_largest_logits(merge, copy):
    torch.manual_seed(0)
    model = DynamicsModel(dataclasses.replace(TINY, merge=merge))
    model.decoder.copy.data.fill_(copy)
    context, latent = draw_tokens(4, 2, 64), torch.randn(4, 4)
    plans = model.plans(context, latent)
    assert torch.equal(plans, model.decoder(context, latent).argmax(-1))
    if copy == 30.0:
        assert torch.equal(plans, context[:, -1:].expand(-1, 3, -1))


def test_the_divergence_is_that_of_torchs_distributions():
    torch.manual_seed(0)
    model, window = DynamicsModel(TINY), draw_tokens(6, 5, 64)
    noise = torch.randn(6, 4)
    loss, metrics = evidence_loss(model, window, noise, 0.7, EvidenceConfig(changed_weight=0.0, retell=0.0))
    posterior, prior = model.posterior(window), model.prior(window[:, :2])
    normal = torch.distributions.Normal
    wanted = torch.distributions.kl_divergence(normal(*posterior), normal(*prior)).sum(-1).mean()
    assert metrics["divergence"] == pytest.approx(wanted.item(), rel=1e-4)
    logits = model.decoder(window[:, :2], posterior.sample(noise))
    picked = torch.distributions.Categorical(logits=logits).log_prob(window[:, 2:])
    assert loss.item() == pytest.approx((-picked.mean() + 0.7 * wanted).item(), rel=1e-4)


@pytest.mark.parametrize(("balance", "still"), [(1.0, "posterior"), (0.0, "prior")])
def test_balance_says_whom_the_divergence_moves(balance, still):
    torch.manual_seed(0)
    model, window = DynamicsModel(TINY), draw_tokens(6, 5, 64)
    config = EvidenceConfig(balance=balance)
    with_it = evidence_loss(model, window, torch.zeros(6, 4), 1.0, config)[0]
    without = evidence_loss(model, window, torch.zeros(6, 4), 0.0, config)[0]
    last = getattr(model, still).head.last.weight
    other = (model.prior if still == "posterior" else model.posterior).head.last.weight
    (unmoved, moved) = torch.autograd.grad(with_it - without, [last, other], allow_unused=True)
    assert unmoved is None or unmoved.abs().max() < 1e-7
    assert moved.abs().max() > 0.0


def test_retelling_teaches_the_features_and_nothing_else():
    torch.manual_seed(0)
    model, window, noise = DynamicsModel(TINY), draw_tokens(6, 5, 64), torch.randn(6, 4)
    with_it, metrics = evidence_loss(
        model, window, noise, 0.7, EvidenceConfig(changed_weight=0.0, retell=0.5)
    )
    without, _ = evidence_loss(model, window, noise, 0.7, EvidenceConfig(changed_weight=0.0, retell=0.0))
    added = with_it - without
    told = model.retelling(model.prior.features(window[:, :2]))
    picked = torch.distributions.Categorical(logits=told).log_prob(window[:, :2])
    assert added.item() == pytest.approx(-0.5 * picked.mean().item(), rel=1e-4)
    assert metrics["retold"] == pytest.approx(-picked.mean().item(), rel=1e-4)
    added.backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 1e-7}
    assert moved == {
        name for name, _ in model.named_parameters() if name.startswith(("retelling", "prior.features"))
    }


def test_beta_rises_between_its_two_steps():
    config = EvidenceConfig(beta=0.01, warm_up=(10, 20))
    assert [config.beta_at(step) for step in (0, 10, 15, 20, 99)] == pytest.approx([0, 0, 0.005, 0.01, 0.01])


def test_a_model_without_a_latent_has_no_divergence():
    model = DynamicsModel(dataclasses.replace(TINY, latent=0))
    _, metrics = evidence_loss(model, draw_tokens(4, 5, 64), torch.zeros(4, 0), 1.0, EvidenceConfig())
    assert metrics["divergence"] == 0.0
    with pytest.raises(ValueError, match="latent"):
        Online(VideoModel(dataclasses.replace(TINY, latent=0)), SHORT)


def test_pretraining_lowers_the_loss(video_model, video_training):
    again, record = load_video_model(video_model)
    assert record["config"]["videos"] == video_training.videos
    rows = (video_model.parent / "dynamics" / "metrics.csv").read_text().splitlines()
    column = rows[0].split(",").index("loss")
    losses = [float(row.split(",")[column]) for row in rows[1:]]
    assert losses[-1] < losses[0]
    assert not again.training


def test_the_record_says_how_long_decisions_were(video_training, video_clips, monkeypatch):
    found = open_clips(video_clips)
    assert _record(video_training, found, 1.0)["action_repeat"] is None  # of the tray
    monkeypatch.setattr(type(found), "action_repeat", 2)
    assert _record(dataclasses.replace(video_training, stride=3), found, 1.0)["action_repeat"] == 6


def test_a_killed_pretraining_ends_as_an_uninterrupted_one(video_training, video_model, tmp_path):
    def kill(step, _):
        if step == FEW.steps + 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(video_training, tmp_path, on_step=kill)
    pretrain(video_training, tmp_path)
    whole, resumed = (load_video_model(p)[0].state_dict() for p in (video_model, tmp_path / "model"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_resumed_dynamics_keeps_the_tokenizer_that_it_learned_with(video_training, tmp_path, monkeypatch):
    def kill(step, _):
        if step == FEW.steps + 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(video_training, tmp_path, on_step=kill)
    monkeypatch.setattr(Tokenizer, "loss", lambda *_: pytest.fail("the tokenizer is trained again"))
    pretrain(video_training, tmp_path)
    assert not list(tmp_path.rglob("checkpoint*"))


def test_clips_that_are_too_short_are_refused(video_training, tmp_path):
    long = dataclasses.replace(video_training, stride=20)
    with pytest.raises(DatasetError, match="at least 81 frames"):
        pretrain(long, tmp_path)
    with pytest.raises(ValueError, match="build more"):
        pretrain(dataclasses.replace(video_training, clips=99), tmp_path / "many")


def test_tokens_of_another_tokenizer_are_refused(video_model, video_clips):
    model, _ = load_video_model(video_model)
    seen = open_clips(video_clips)
    store = tokens.open_tokens(model.tokenizer, seen)
    assert np.array_equal(store.tokens[3], tokens.tokenize(model.tokenizer, seen[3]))
    key = {"tokenizer": tokens.tokenizer_hash(model.tokenizer), "clips": tokens.content_hash(seen)}
    path = tokens.mapped.cache_root() / "tokens" / tokens.mapped.digest_of({"format": 1, **key})
    torch.manual_seed(1)
    with pytest.raises(DatasetError, match="another tokenizer"):
        tokens.TokenStore(path, VideoModel(TINY).tokenizer, seen)


def test_the_command_judges_a_model_and_draws_samples(video_model, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(judge, "PROBE", dataclasses.replace(judge.PROBE, steps=20))
    results = tmp_path / "judged.csv"
    few = ["--windows", "4", "--samples", "3", "--probe-windows", "64"]
    main(["pvdr", "judge", "--model", str(video_model), *few, "--results", str(results)])
    said = capsys.readouterr().out
    assert {row["metric"] for row in read_results([results])} >= {"error_best", "r2_both", "r2_place"}
    assert "error_best" in said and "r2_both" in said
    own = videos_of(load_video_model(video_model)[1])
    assert "/" not in own  # results hold no paths
    few += ["--picture", str(tmp_path / "half.png")]
    half = build_push(tmp_path / "half", clips=4, seed=3, workers=1).folder
    main(
        ["pvdr", "judge", "--model", str(video_model), *few, "--results", str(results), "--videos", str(half)]
    )
    rows = read_results([results])
    assert len(rows) == 2 * len({row["metric"] for row in rows}) and {row["dataset"] for row in rows} == {own}
    assert len({row["setting"]["judged_on"] for row in rows}) == 2
    assert (video_model.parent / "samples.png").stat().st_size > 1000
    with pytest.raises(SystemExit):
        main(["pvdr", "judge", "--model", "nowhere"])
    assert "is no video model" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["pvdr", "judge", "--model", str(video_model.parent)])
    assert f"name {video_model}" in capsys.readouterr().err  # the folder of a run, with whole models in it


def test_folders_that_are_no_whole_video_model_are_told_apart(video_model, tmp_path):
    with pytest.raises(ValueError, match="it holds another kind of model: encoder"):
        load_video_model(video_model.parent / "encoder")
    config = json.loads((video_model / "config.json").read_text())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"is no video model: model\.safetensors is missing"):
        load_video_model(folder)
    shutil.copy(video_model / "model.safetensors", folder)
    del config["training"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"is damaged .no 'training'.: train the video model again"):
        load_video_model(folder)


def test_other_videos_count_where_the_model_has_not_seen_them(video_model, tmp_path):
    _, record = load_video_model(video_model)
    own = open_clips(record["dataset"])
    trained, held_out = own.split()
    assert [part.tolist() for part in parted(own, record)] == [trained.tolist(), held_out.tolist()]
    other = build_push(tmp_path / "other", clips=4, seed=3, workers=1).folder
    joined = join("joined", [own.folder, other], tmp_path / "joined")
    parts = parted(joined, record)
    assert not set(parts.held_out) & set(trained)  # the set's own clips come first
    with pytest.raises(ValueError, match="trained on every clip"):
        parted(_Only(own, trained), record)
    with pytest.warns(UserWarning, match="is not known"):
        parted(joined, {**record, "dataset": str(tmp_path / "gone")})


class _Only:
    """Some clips of a set, as another set."""

    def __init__(self, clips, numbers):
        self._clips, self._numbers, self.folder = clips, numbers, clips.folder
        self.facts = {**clips.facts, "content_hash": "another set"}

    def __len__(self):
        return len(self._numbers)

    def __getitem__(self, number):
        return self._clips[int(self._numbers[number])]

    def split(self):
        return np.arange(len(self) - 1), np.array([len(self) - 1])


def test_bfloat16_products_change_the_bound_and_its_gradient_only_a_little():
    torch.manual_seed(0)
    model = DynamicsModel(TINY)
    window, noise = draw_tokens(4, TINY.window, 64), torch.randn(4, TINY.latent)
    found = {}
    for precision in ("float32", "bfloat16"):
        model.zero_grad()
        with in_precision("cpu", precision):
            loss, _ = evidence_loss(model, window, noise, 1e-3, EvidenceConfig())
        loss.backward()
        found[precision] = (
            loss.detach(),
            torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]),
        )
    (exact, gradient), (rounded, other) = found["float32"], found["bfloat16"]
    assert rounded.dtype == torch.float32
    assert not torch.equal(gradient, other)  # it was taken in another precision
    torch.testing.assert_close(rounded, exact, rtol=5e-3, atol=0.0)
    assert torch.nn.functional.cosine_similarity(gradient, other, dim=0) > 0.999


def test_attention_in_bfloat16_is_taken_in_float32():
    queries, keys, contents = torch.randn(3, 2, 2, 5, 4).unbind(0)
    with in_precision("cpu", "bfloat16"):
        found = attend(queries, keys, contents)
    torch.testing.assert_close(found, attend(queries, keys, contents), rtol=1e-5, atol=1e-6)
