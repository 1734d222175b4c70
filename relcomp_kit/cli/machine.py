"""The commands about this machine and its versions: `relcomp check` and `lock`."""

import typer


def check() -> None:
    """Check this machine: one line each, to paste into a bug report."""
    from relcomp_kit.course import environment

    findings = environment.findings()
    for finding in findings:
        print(finding.line())
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)


def lock() -> None:
    """Write the versions that the records come from as constraints for pip (maintainers)."""
    from relcomp_kit.course import constraints
    from relcomp_kit.files import checkout, write_atomic

    file = checkout() / constraints.FILE
    write_atomic(file, constraints.constraints().encode())
    print(f"wrote {file}")
