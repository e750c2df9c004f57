"""Floors: random and zero actions are measured in both ways of counting."""

from latentctx_agents.studies import floors


def test_floors_of_a_native_task_do_not_depend_on_the_way_of_counting(monkeypatch):
    monkeypatch.setattr(floors, "ENV_IDS", {"cheetah-run": "LatentCtx-CheetahRun-v0"})
    rows = list(floors.measure_floors(2))
    found = {(r.method, r.setting["reward_mode"], r.metric): r.value for r in rows}
    assert len(found) == len(rows) == 8
    for policy in ("random", "zero"):
        assert found[policy, "sum", "return"] == found[policy, "last_substep", "return"]
    assert found["random", "sum", "return"] > found["zero", "sum", "return"] >= 0.0
