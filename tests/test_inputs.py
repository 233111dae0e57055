from pathlib import Path

from satcost_gnn.inputs import expand


def test_directories_globs_lists_and_files_each_once(tmp_path: Path) -> None:
    (tmp_path / "d" / "e").mkdir(parents=True)
    names = ["d/b.cnf", "d/a.cnf.xz", "d/e/c.dimacs.gz", "d/readme.txt"]
    for name in names:
        (tmp_path / name).write_text("")
    listing = tmp_path / "list.txt"
    listing.write_text(f"# chosen\n{tmp_path}/d/b.cnf\n\n{tmp_path}/gone.cnf\n")
    folder = tmp_path / "d"
    found = list(expand([str(folder), str(folder / "*.cnf"), f"@{listing}", str(tmp_path / "x.cnf"), "-"]))
    expected = ["d/a.cnf.xz", "d/b.cnf", "d/e/c.dimacs.gz", "gone.cnf", "x.cnf"]
    assert found == [*(str(tmp_path / name) for name in expected), "-"]


def test_file_is_taken_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "odd[1].txt"
    path.write_text("p cnf 0 0\n")
    assert list(expand([str(path)])) == [str(path)]


def test_pattern_without_match_is_kept_for_an_error_row(tmp_path: Path) -> None:
    pattern = str(tmp_path / "*.cnf")
    assert list(expand([pattern])) == [pattern]
