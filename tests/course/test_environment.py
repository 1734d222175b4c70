"""What `relcomp check` says of a machine."""

from relcomp_kit.course import environment


def test_a_python_that_is_too_old_is_told_what_is_needed(monkeypatch):
    monkeypatch.setattr(environment, "OLDEST_PYTHON", (9, 8))
    found = environment._python()
    assert found.state == "fail" and found.detail.endswith("; Python 9.8 or newer is needed: install one")
    monkeypatch.setattr(environment, "OLDEST_PYTHON", (3, 10))
    assert environment._python().state == "ok" and "needed" not in environment._python().detail
