"""The commands that code nets: `relcomp encode`, `decode` and `info`."""

from pathlib import Path
from typing import Annotated

import typer

from relcomp_kit.cli.options import file_to_write
from relcomp_kit.errors import UserError, printable

File = Annotated[Path, typer.Argument(metavar="FILE", help="Made by `relcomp encode`.")]
PATHS_SUFFIX = ".paths.safetensors"
OF_THE_FLOAT_NET = ("log", "history", "metrics", "test")  # what is not true of its quantized self, or long


def encode(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Safetensors file of a quantized net; with --bits, of a trained one.")
    ],
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="FILE", help="Where the coded net goes.", callback=file_to_write),
    ],
    bits: Annotated[
        int | None, typer.Option(help="Quantize a trained net by ECQ first: 2 to 8. MODEL may be a committed net.")
    ] = None,
    lam: Annotated[float, typer.Option("--lambda", help="What entropy weighs in ECQ, with --bits.")] = 0.05,
    paths: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Experts' masks, as `relcomp decode` writes them.")
    ] = None,
    fold: Annotated[bool, typer.Option("--fold", help="Store two vectors of each batch-norm instead of four.")] = False,
    eps: Annotated[float, typer.Option(help="That of the batch-norms, with --fold.")] = 1e-5,
    float_bits: Annotated[int | None, typer.Option(help="8 to 16: bits of each float number that is left.")] = None,
) -> None:
    """Code a quantized net: a small file, exact unless --fold or --float-bits."""
    from relcomp_kit.compression import nnc
    from relcomp_kit.files import check_apart, write_atomic

    check_apart(out, model, paths)
    quantized, info = _read_net(model, bits, lam)
    experts = _read_paths(paths) if paths else None
    data = nnc.encode(quantized, paths=experts, info=info, fold=fold, eps=eps, float_bits=float_bits)
    written = write_atomic(out, data)
    print(f"{written}: {len(data):,} bytes, 1/{quantized.original_bytes / len(data):.1f} of the float32 net")


def decode(
    file: File,
    out: Annotated[
        Path,
        typer.Option("-o", "--out", metavar="MODEL", help="Where the safetensors file goes.", callback=file_to_write),
    ],
    plain: Annotated[bool, typer.Option("--float", help="Write weights instead of indices and steps.")] = False,
) -> None:
    """Decode a net into a safetensors file, and experts' masks into one beside it."""
    from relcomp_kit.artifacts import write_artifact
    from relcomp_kit.compression import ecqx, nnc
    from relcomp_kit.files import check_apart

    beside = out.with_name(out.name.removesuffix(".safetensors") + PATHS_SUFFIX)
    for written in (out, beside):
        check_apart(written, file)
    decoded = nnc.decode(nnc.read_file(file), source=str(file))
    to_tensors = ecqx.state_dict if plain else ecqx.to_tensors
    written = write_artifact(out, to_tensors(decoded.quantized), decoded.info)
    print(f"{written}: {len(decoded.quantized.indices)} quantized tensors, {len(decoded.quantized.rest)} others")
    if decoded.paths:
        masks = {f"{expert}:{layer}": mask for expert, path in decoded.paths.items() for layer, mask in path.items()}
        print(f"{write_artifact(beside, masks, {})}: masks of {printable(', '.join(decoded.paths))}")


def info(file: File) -> None:
    """Show what a coded net holds and where its bytes go."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from relcomp_kit.compression import nnc

    data = nnc.read_file(file)
    decoded = nnc.decode(data, source=str(file))
    shown = Table("tensor", "shape", "bits a number", "zeros", "bytes", "share")
    shown.columns[0].overflow = "fold"
    for column in shown.columns[2:]:
        column.justify = "right"
    for row in nnc.table(data, decoded):
        shown.add_row(
            Text(printable(row.name)),
            "x".join(map(str, row.shape)) if row.shape is not None else f"{row.items:,}" if row.items else "",
            f"{row.bits:.3f}" if row.items else "",
            f"{row.zeros:.1%}" if row.zeros is not None else "",
            f"{row.size:,}",
            f"{row.share:.1%}",
        )
    console = Console()
    console.print(shown)
    before = decoded.quantized.original_bytes
    total = f"{len(data):,} bytes, 1/{before / len(data):.1f} of the {before:,} of the float32 net"
    about = {key: ", ".join(map(str, one)) if isinstance(one, list) else one for key, one in decoded.info.items()}
    for line in (total, *(f"{key}: {value}" for key, value in about.items() if not isinstance(value, dict))):
        console.print(printable(line), markup=False, no_wrap=True, overflow="ellipsis")
    if decoded.paths:
        console.print(printable(f"experts: {', '.join(decoded.paths)}"), markup=False, soft_wrap=True)


def _read_net(model: str, bits: int | None, lam: float):
    """Return a quantized net and its info."""
    from relcomp_kit.artifacts import read_artifact
    from relcomp_kit.compression import ecqx
    from relcomp_kit.models.checkpoints import load

    if bits is not None:
        net, about = load(model)
        kept = {key: value for key, value in about.items() if key not in OF_THE_FLOAT_NET}
        return ecqx.quantize(net, bits, lam), kept | {"bits": bits, "lambda": lam}
    if not Path(model).is_file():
        raise UserError(f"{model} is missing: name a safetensors file, or a committed net together with --bits")
    tensors, about = read_artifact(Path(model))
    if not any(name.startswith(ecqx.quantized.INDEX) for name in tensors):
        raise UserError(f"{model} holds a float net: quantize it on the way with --bits, for example --bits 4")
    return ecqx.from_tensors(tensors), about


def _read_paths(file: Path) -> dict:
    from relcomp_kit.artifacts import read_artifact

    paths: dict = {}
    for key, mask in read_artifact(file)[0].items():
        expert, colon, layer = key.rpartition(":")
        if not colon:
            raise UserError(f"{file} holds {key!r}, which is no mask: call masks EXPERT:LAYER")
        paths.setdefault(expert, {})[layer] = mask
    return paths
