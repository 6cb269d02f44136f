"""The table of candidates, and the page that begins with their verdict."""

from dataclasses import replace

from targets import SPREAD, targeted

from stagewise.analysis.claims.target import MEETS, MISSES, judge_target
from stagewise.analysis.report.target import target_advice
from stagewise.analysis.tables.table import make_table


def study(results):
    return targeted(
        results,
        ("recovery/p.2x.kd", "float32", SPREAD - 0.4, {"latency": 45.0}),
        ("recovery/p.baseline.dense.kd", "int8", SPREAD - 0.2, {"latency": 70.0}),
        ("recovery/p.2x.ce", "int8", SPREAD - 0.3, {"latency": 25.0, "validation": 80.0}),
    )


def test_the_table_has_a_row_a_candidate_the_chosen_one_first(results):
    table = make_table("target", study(results))
    assert table.data["chosen"].tolist() == [True, False, False]
    assert table.data["verdict"].tolist() == [MEETS, MEETS, MISSES]
    assert table.data["shipped"][0] == "runs/made/recovery/p.2x.kd/seed-3"
    assert table.data["latency_times"].tolist() == [100 / 45, 4.0, 100 / 70]
    assert table.shown["Minus reference, points"][0].startswith("−0.4 [−0.")
    assert "latency 2x, at most 1 points worse than the whole student" in table.caption


def test_a_study_without_a_target_has_no_rows(results):
    table = make_table("target", results)
    assert table.data.empty
    assert table.caption.endswith("first.")


def test_the_page_begins_with_the_verdict_and_what_else_meets_it(results):
    found = judge_target(study(results))
    advice = target_advice(found)
    assert advice.sentences[0] == found.sentence
    assert advice.sentences[1] == "Also meets it: p, pruned 2×, int8."
    assert len(advice.sentences) == 2
    tiles = {tile.heading: tile.lines[0] for tile in advice.tiles}
    assert tiles["Time of a call"] == ("", "45 ms", "the whole student 100 ms")
    assert tiles["Test accuracy"][1] == "94.8 %"


def test_a_busy_machine_is_told_where_the_clock_decides(results):
    for asked, told in (({}, True), ({"latency": None, "macs": "1x"}, False)):
        made = targeted(results, ("recovery/p.2x.kd", "int8", SPREAD, {"latency": 45.0}), **asked)
        busy = replace(made, candidates=made.candidates.assign(others=1.2))
        said = " ".join(target_advice(judge_target(busy)).sentences)
        assert ("Other programs used the machine" in said) == told


def test_few_seeds_are_called_a_hint(results):
    few = targeted(results, ("recovery/p.2x.kd", "int8", SPREAD[:2], {"latency": 45.0}))
    assert target_advice(judge_target(few)).sentences[-1].startswith("2 seeds give a hint")
