"""Packs as students, platforms and mischief make them: everyone is there, and what came last counts."""

import io
import json
import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from relcomp_kit.course.grade import archives, packs
from relcomp_kit.errors import UserError

LESSONS = {"05_quantize": {"bits_of", "border", "beta_for"}, "07_try": {"double_root"}}
CODE = "def double_root(x):\n    return 2 * x**0.5"
OTHER = "def bits_of(share, count):\n    return 1\n\n\ndef border(j, a, k, b):\n    return 0.5"


def notebook(code=CODE, **more):
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": code}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4} | more).encode()


def zipped(files, place=None):
    """A zip of names, or entries, and contents: its bytes, or its path if there is a place for it."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    if place is None:
        return target.getvalue()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(target.getvalue())
    return place


def read(place):
    return {pack.student: pack for pack in packs.read_packs(place, LESSONS)}


def codes(place):
    """What counts of every student: the code of each lesson's only cell."""
    return {
        student: {name: "".join(cells) for name, cells in one.notebooks.items()} for student, one in read(place).items()
    }


def write(place, files):
    for name, content in files.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return place


MOODLE = {
    "Jörg Müller_81_assignsubmission_file_/07_try.ipynb": notebook(),
    "Jörg Müller_82_assignsubmission_file_/work/homework.ipynb": notebook(OTHER),
    "Ann Lee_7_assignsubmission_file/pack.zip": zipped({"x/07_try.ipynb": notebook("double_root = 3")}),
    "Group A-Eve_9_assignsubmission_onlinetext_/onlinetext.html": b"<p>see my blog</p>",
    "Group A-Eve_9_assignsubmission_file_/07_try.ipynb": notebook(),
    "Participant 55_55_assignsubmission_onlinetext_/onlinetext.html": b"<p>sorry</p>",
}
MOODLE_CODES = {
    "Ann Lee_7": {"07_try": "double_root = 3"},
    "Group A-Eve_9": {"07_try": CODE},
    "Jörg Müller_81": {"07_try": CODE},
    "Jörg Müller_82": {"05_quantize": OTHER},
    "Participant 55_55": {},
}
CANVAS = {
    "leeann_LATE_12_345_07_try-1.ipynb": notebook(),
    "leeann_LATE_12_344_07_try.ipynb": notebook("double_root = 3"),
    "müllerjörg_13_350_my pack.zip": zipped({"07_try.ipynb": notebook()}),
    "müllerjörg_14_351_05_quantize.ipynb": notebook(OTHER),
    "anon_k8Xz1_360_07_try.ipynb": notebook(),
    "smitheve_15_361_scan.pdf": b"%PDF",
    "smithbob_16_text.html": b"<p>sorry</p>",
}
CANVAS_CODES = {
    "anon_k8Xz1": {"07_try": CODE},
    "leeann_12": {"07_try": CODE},
    "müllerjörg_13": {"07_try": CODE},
    "müllerjörg_14": {"05_quantize": OTHER},
    "smithbob_16": {},
    "smitheve_15": {},
}


@pytest.mark.parametrize(
    ("files", "expected"), [(MOODLE, MOODLE_CODES), (CANVAS, CANVAS_CODES)], ids=["moodle", "canvas"]
)
def test_what_platforms_give(tmp_path, files, expected):
    """As the zip that comes from the platform, as the only thing in a folder, and unpacked."""
    file = zipped(files, tmp_path / "download" / "Exercises-1234.zip")
    assert codes(file) == codes(file.parent) == expected
    assert codes(write(tmp_path / "unpacked", files)) == expected


def test_moodles_flat_names(tmp_path):
    flat = {name.replace("_/", "_").replace("work/", ""): content for name, content in MOODLE.items()}
    assert codes(write(tmp_path, flat)) == MOODLE_CODES


def test_platforms_say_who_was_late_and_who_handed_in_something_else(tmp_path):
    found = read(write(tmp_path, CANVAS | {"yang_17_362_07_try.rar": b"Rar!"}))
    assert "07_try-1.ipynb was handed in late" in found["leeann_12"].remarks
    assert "07_try.ipynb does not count: 07_try-1.ipynb is a later copy of 07_try" in found["leeann_12"].remarks
    sentence = " is neither a notebook nor a zip: ask for the .ipynb files, or a .zip of them"
    assert found["smitheve_15"].problems[""] == "scan.pdf" + sentence
    assert found["smithbob_16"].problems[""] == "text.html" + sentence
    assert found["yang_17"].problems[""] == "07_try.rar" + sentence


def test_a_students_zip_cannot_hand_in_for_others(tmp_path):
    """The names of platforms count only at the top of what they give."""
    forged = zipped({"bob_2_3_07_try.ipynb": notebook(), "Bob_2_assignsubmission_file_/07_try.ipynb": notebook()})
    write(tmp_path, {"ann.zip": forged, "bob/07_try.ipynb": notebook("double_root = 3")})
    assert codes(tmp_path) == {"ann.zip": {"07_try": CODE}, "bob": {"07_try": "double_root = 3"}}
    moodle = {"Ann_1_assignsubmission_file_/a.zip": forged, "Bob_2_assignsubmission_file_/07_try.ipynb": notebook("")}
    assert codes(zipped(moodle, tmp_path / "moodle.zip")) == {"Ann_1": {"07_try": CODE}, "Bob_2": {"07_try": ""}}


@pytest.mark.parametrize("name", ["thesis.pdf", "07_try.docx", "work.7z", "work.rar", "work.tar.gz", "work.tgz"])
def test_other_formats_are_one_sentence(tmp_path, name):
    write(tmp_path, {f"ann/{name}": b"not a notebook", "bob/07_try.ipynb": notebook()})
    sentence = f"{name} is neither a notebook nor a zip: ask for the .ipynb files, or a .zip of them"
    assert read(tmp_path)["ann"].problems == {"": sentence}


def test_archives_beside_the_folders_belong_to_students(tmp_path):
    write(tmp_path, {"ann.tar.gz": b"\x1f\x8b", "bob/07_try.ipynb": notebook(), "notes.pdf": b"of the teacher"})
    (tmp_path / "eve").mkdir()
    found = read(tmp_path)
    assert set(found) == {"ann.tar.gz", "bob", "eve"}
    assert "neither a notebook nor a zip" in found["ann.tar.gz"].problems[""]
    assert found["eve"] == packs.Pack("eve")


def test_what_systems_leave_behind_does_not_count(tmp_path):
    junk = {
        "pack/__MACOSX/._07_try.ipynb": b"\0\5\26\7",
        "pack/__MACOSX/07_try.ipynb": notebook("junk"),
        "pack/.DS_Store": b"\0\0\0\1Bud1",
        "pack/.ipynb_checkpoints/07_try-checkpoint.ipynb": notebook("junk"),
        "pack/Thumbs.db": b"x",
        "pack/README.md": b"of the course",
        "pack/07_try.ipynb": notebook(),
    }
    zipped(junk, tmp_path / "ann.zip")
    write(tmp_path / "bob", junk)
    write(tmp_path, {".DS_Store": b"", "__MACOSX/x": b""})
    found = read(tmp_path)
    assert codes(tmp_path) == {"ann.zip": {"07_try": CODE}, "bob": {"07_try": CODE}}
    assert not any(pack.remarks or pack.problems for pack in found.values())


def named_by(raw, flag=0, extra=b""):
    """The bytes of a zip whose only entry has a name of these bytes."""
    stand_in = b"N" * len(raw)
    info = zipfile.ZipInfo(stand_in.decode() + "/07_try.ipynb")
    info.extra = extra
    return (
        zipped({info: notebook()}).replace(stand_in, raw)
        if not flag
        else zipped({raw.decode() + "/07_try.ipynb": notebook()})
    )


def unicode_path(raw, name):
    """Info-ZIP's extra field for a name."""
    body = b"\1" + struct.pack("<I", zlib.crc32(raw + b"/07_try.ipynb")) + f"{name}/07_try.ipynb".encode()
    return struct.pack("<HH", 0x7075, len(body)) + body


@pytest.mark.parametrize(
    "content",
    [
        named_by("Jörg Müller_1_assignsubmission_file_".encode("cp437")),
        named_by("Jörg Müller_1_assignsubmission_file_".encode()),
        named_by("Jörg Müller_1_assignsubmission_file_".encode(), flag=0x800),
        named_by("Jo\u0308rg Mu\u0308ller_1_assignsubmission_file_".encode()),
        named_by(b"J_rg M_ller_1", extra=unicode_path(b"J_rg M_ller_1", "Jörg Müller_1_assignsubmission_file_")),
        named_by(b"J\xffrg_1", extra=unicode_path(b"J\xffrg_1", "Jörg Müller_1_assignsubmission_file_")),
    ],
    ids=["cp437", "UTF-8 without flag", "UTF-8 with flag", "decomposed", "Info-ZIP", "Info-ZIP beside cp437"],
)
def test_umlauts_in_names(tmp_path, content):
    (tmp_path / "moodle.zip").write_bytes(content)
    assert codes(tmp_path / "moodle.zip") == {"Jörg Müller_1": {"07_try": CODE}}


def test_a_notebook_of_nbformat_3(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["#"]},
        {"cell_type": "code", "input": ["double_root", " = 3"], "outputs": []},
    ]
    old = {
        "worksheets": [{"cells": cells, "metadata": {}}],
        "metadata": {"name": ""},
        "nbformat": 3,
        "nbformat_minor": 0,
    }
    write(tmp_path, {"ann/07_try.ipynb": json.dumps(old).encode()})
    assert codes(tmp_path) == {"ann": {"07_try": "double_root = 3"}}


def test_a_damaged_tail_leaves_the_cells_before_it(tmp_path):
    cells = [{"cell_type": "code", "source": [text]} for text in (CODE, "last = 'ü'")]
    whole = json.dumps({"cells": cells, "metadata": {}}, ensure_ascii=False).encode()
    write(
        tmp_path, {"ann/07_try.ipynb": whole[: whole.index("ü".encode()) + 1], "bob/07_try.ipynb": whole + b"\0" * 50}
    )
    write(tmp_path, {"eve/07_try.ipynb": whole[:20], "may/07_try.ipynb": b"\0" * 4096, "zoe/07_try.ipynb": b""})
    found = read(tmp_path)
    assert found["ann"].notebooks == {"07_try": [CODE]}
    assert found["bob"].notebooks == {"07_try": [CODE, "last = 'ü'"]}
    assert found["ann"].remarks == found["bob"].remarks == ["07_try.ipynb is damaged: what can be read of it counts"]
    assert all(found[name].problems == {"07_try": "the file is no notebook"} for name in ("eve", "may", "zoe"))


def test_a_byte_order_mark_and_other_suffixes_do_no_harm(tmp_path):
    write(tmp_path, {"ann/07_try.ipynb": b"\xef\xbb\xbf" + notebook(), "bob/07_try.ipynb.txt": notebook()})
    write(tmp_path, {"eve/07_TRY.IPYNB": notebook(), "may/07_try.ipynb.json": notebook()})
    assert codes(tmp_path) == {name: {"07_try": CODE} for name in ("ann", "bob", "eve", "may")}


def test_a_renamed_notebook_is_known_by_its_exercises(tmp_path):
    write(tmp_path, {"ann/Untitled.ipynb": notebook(), "ann/final FINAL.ipynb": notebook(OTHER)})
    write(tmp_path, {"bob/07_try.ipynb": notebook(OTHER), "eve/07_try.ipynb": notebook("x = 1")})
    write(tmp_path, {"may/notes.ipynb": notebook("x = 1")})
    expected = {
        "ann": {"05_quantize": OTHER, "07_try": CODE},
        "bob": {"05_quantize": OTHER},
        "eve": {"07_try": "x = 1"},
    }
    assert codes(tmp_path) == expected | {"may": {}}
    assert read(tmp_path)["may"].remarks == ["notes.ipynb does not count: it is the notebook of no lesson"]


def test_of_two_copies_the_one_changed_last_counts(tmp_path):
    write(tmp_path, {"ann/07_try.ipynb": notebook(""), "ann/old/07_try (1).ipynb": notebook()})
    os.utime(tmp_path / "ann" / "07_try.ipynb", (1e9, 1e9))
    entries = {zipfile.ZipInfo("a/07_try.ipynb", (2026, 5, day, 9, 0, 0)): notebook(str(day)) for day in (2, 3, 1)}
    entries |= {zipfile.ZipInfo("a/x.ipynb", (1980, 0, 0, 0, 0, 0)): notebook()}  # a date that no calendar has
    with pytest.warns(UserWarning, match="Duplicate name"):
        zipped(entries, tmp_path / "bob.zip")
    assert codes(tmp_path) == {"ann": {"07_try": CODE}, "bob.zip": {"07_try": "3"}}
    assert read(tmp_path)["ann"].remarks == ["07_try.ipynb does not count: 07_try (1).ipynb is a later copy of 07_try"]


def test_a_damaged_copy_does_not_replace_a_good_one(tmp_path):
    write(
        tmp_path, {"ann/07_try.ipynb": notebook(), "ann/07_try-1.ipynb": b"{", "ann/07_try-2.ipynb": notebook()[:150]}
    )
    os.utime(tmp_path / "ann" / "07_try.ipynb", (1e9, 1e9))
    assert codes(tmp_path) == {"ann": {"07_try": CODE}}


def test_paths_that_lead_elsewhere_stay_names(tmp_path):
    """Nothing is unpacked, so nothing can be written elsewhere; the notebook counts all the same."""
    paths = ["../../07_try.ipynb", "/etc/07_try.ipynb", "C:\\Users\\ann\\07_try.ipynb", "a\\..\\..\\07_try.ipynb"]
    for number, path in enumerate(paths):
        zipped({path: notebook()}, tmp_path / "packs" / f"{number}.zip")
    before = set(tmp_path.rglob("*"))
    assert codes(tmp_path / "packs") == {f"{number}.zip": {"07_try": CODE} for number in range(len(paths))}
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip_are_not_followed(tmp_path, kind):
    link = zipfile.ZipInfo("07_try.ipynb")
    link.create_system, link.external_attr = 3, (kind | 0o777) << 16
    zipped({link: "/etc/passwd"}, tmp_path / "ann.zip")
    zipped({"07_try.ipynb": notebook()}, tmp_path / "bob.zip")
    found = read(tmp_path)
    assert found["ann.zip"].remarks == ["07_try.ipynb does not count: it is a link or a device"]
    assert not found["ann.zip"].notebooks and found["bob.zip"].notebooks


def test_links_in_a_folder_are_not_followed(tmp_path):
    write(tmp_path, {"bob/07_try.ipynb": notebook(), "ann/README.md": b""})
    (tmp_path / "ann" / "07_try.ipynb").symlink_to(tmp_path / "bob" / "07_try.ipynb")
    (tmp_path / "ann" / "all").symlink_to(tmp_path)
    assert codes(tmp_path) == {"ann": {}, "bob": {"07_try": CODE}}


def test_zips_in_one_another(tmp_path):
    content = notebook()
    for depth in range(1, 6):
        content = zipped({"in.zip" if depth > 1 else "07_try.ipynb": content}, tmp_path / f"{depth}.zip").read_bytes()
    found = read(tmp_path)
    assert [bool(found[f"{depth}.zip"].notebooks) for depth in range(1, 6)] == [True, True, True, False, False]
    assert found["5.zip"].problems[""] == "in.zip lies in 3 zips, one in the other: ask for one zip"


def test_bombs_are_refused_before_they_go_off(tmp_path, monkeypatch):
    monkeypatch.setattr(packs, "NOTEBOOK_BYTES", 10**5)
    monkeypatch.setattr(archives, "READ_BYTES", 5 * 10**5)
    monkeypatch.setattr(archives, "ZIP_BYTES", 10**5)
    bomb = zipped({"07_try.ipynb": b" " * 10**6})
    zipped({"07_try.ipynb": b" " * 10**6}, tmp_path / "large.zip")
    zipped({f"{n}.ipynb": b" " * 10**5 for n in range(9)} | {"0/07_try.ipynb": notebook()}, tmp_path / "many.zip")
    zipped({f"{n}.zip": bomb for n in range(50)}, tmp_path / "nested.zip")
    zipped({"a.zip": zipped({"b.zip": b" " * 10**6})}, tmp_path / "inner.zip")
    zipped({"other.dat": b" " * 10**6, "07_try.ipynb": notebook()}, tmp_path / "unread.zip")
    found = read(tmp_path)
    assert found["large.zip"].problems == {"07_try": "the notebook has more than 100,000 bytes"}
    assert found["many.zip"].problems == {"": "there is more than 500,000 bytes to read"}
    assert found["nested.zip"].problems[""] == "there is more than 500,000 bytes to read"
    assert found["inner.zip"].problems == {"": "b.zip cannot be read as a zip (it has more than 100,000 bytes)"}
    assert found["unread.zip"].notebooks == {"07_try": [CODE]}


@pytest.mark.slow
def test_ten_thousand_entries_are_refused(tmp_path):
    entries = {f"{number}.txt": b"" for number in range(archives.ENTRIES + 1)}
    zipped(entries, tmp_path / "ann.zip")
    zipped({f"{part}.zip": zipped(dict.fromkeys([*entries][:5001], b"")) for part in "ab"}, tmp_path / "eve.zip")
    zipped({"07_try.ipynb": notebook()}, tmp_path / "bob.zip")
    found = read(tmp_path)
    assert found["ann.zip"].problems == {"": "ann.zip cannot be read as a zip (more than 10,000 entries)"}
    assert found["eve.zip"].problems == {"": "there are more than 10,000 files and folders"}
    assert found["bob.zip"].notebooks


def test_a_table_of_contents_that_is_too_long_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "ENTRIES", 3)
    with zipfile.ZipFile(tmp_path / "ann.zip", "w") as archive:
        archive.writestr("07_try.ipynb", notebook())
        archive.comment = b"PK\5\6 a comment that looks like an end"
        for number in range(40):
            archive.writestr(f"{number:060}.txt", b"")
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(ValueError, match="more than 3 entries"):
        next(archives.zip_files(tmp_path / "ann.zip", entries=3))


@pytest.mark.parametrize(
    "damage",
    [
        lambda good: good[: len(good) // 2],
        lambda good: good[:60] + b"\xff" * 20 + good[80:],
        lambda good: b"",
        lambda good: b"PK\5\6" + b"\0" * 18,
        lambda good: good.replace(b"PK\1\2", b"PK\1\2\xff\xff\xff"),
    ],
    ids=["cut", "overwritten", "empty file", "nothing in it", "table of contents"],
)
def test_damaged_zips_are_problems_of_their_student(tmp_path, damage):
    (tmp_path / "ann.zip").write_bytes(damage(zipped({"07_try.ipynb": notebook()})))
    zipped({"07_try.ipynb": notebook()}, tmp_path / "bob.zip")
    found = read(tmp_path)
    assert set(found) == {"ann.zip", "bob.zip"} and not found["ann.zip"].notebooks
    assert found["bob.zip"].notebooks == {"07_try": [CODE]} and not found["bob.zip"].problems


def test_a_zip_with_a_password_is_one_sentence(tmp_path):
    content = bytearray(zipped({"07_try.ipynb": notebook()}))
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "ann.zip").write_bytes(content)
    zipped({"07_try.ipynb": notebook()}, tmp_path / "bob.zip")
    assert "encrypted" in read(tmp_path)["ann.zip"].problems["07_try"]


def test_names_cannot_move_the_cursor_or_swallow_one_another(tmp_path):
    write(tmp_path, {f"a{letter}n/07_try.ipynb": notebook(repr(letter)) for letter in "\r\t\x1b"})
    assert len(read(tmp_path)) == 3 and all(name.isprintable() for name in read(tmp_path))


def test_one_notebook_alone(tmp_path):
    write(tmp_path, {"07_try.ipynb": notebook(), "x/y": b""})
    assert codes(tmp_path / "07_try.ipynb") == {"07_try.ipynb": {"07_try": CODE}}
    assert codes(Path(tmp_path)) == {tmp_path.name: {"07_try": CODE}}


def test_loose_notebooks_of_several_students_are_not_taken_for_one_students(tmp_path):
    for number, names in enumerate(
        (("ann.ipynb", "bob.ipynb"), ("07_try_ann.ipynb", "07_try_Bob Lee.ipynb", "07_try.ipynb"))
    ):
        place = write(tmp_path / str(number), {name: notebook() for name in names})
        with pytest.raises(UserError, match=r"are both notebooks of 07_try: put each into a folder with its student"):
            read(place)
        assert read(write(tmp_path / f"{number}above", {f"ann/{name}": notebook() for name in names}))["ann"].notebooks
    one = ("07_try.ipynb", "07_try (1).ipynb", "07_try-Copy1.ipynb", "07_try - Copy (2).ipynb", "homework.ipynb")
    assert list(read(write(tmp_path / "one", {name: notebook() for name in one}))) == ["one"]


def test_nothing_to_read_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="holds no notebook of 05_quantize, 07_try"):
        packs.read_packs(tmp_path, LESSONS)
