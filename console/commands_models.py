"""`turncoat models`: what base models and variants there are, and how one is fetched."""

from __future__ import annotations

import typer

models_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="List base models and variants; fetch a base."
)


@models_app.command("list")
def list_models(as_json: bool = typer.Option(False, "--json", help="Print one JSON object.")) -> None:
    """Show the known base models, whether they are on this machine, and the variants that come with turncoat.

    \b
    Example:
      turncoat models list
    """
    from turncoat.models.bases import KNOWN_BASES, is_pulled, turncoat_home

    from .model_listing import shipped_variants
    from .output import print_json, results
    from .tables import table_of

    bases = [
        {"name": b.name, "parameters": b.parameters, "licence": b.licence, "download_bytes": b.size_bytes,
         "ready": is_pulled(b.name)}
        for b in KNOWN_BASES.values()
    ]  # fmt: skip
    variants = shipped_variants()
    if as_json:
        print_json({"home": str(turncoat_home()), "bases": bases, "variants": variants})
        return
    console = results()
    console.print(
        table_of(
            "Base models",
            ("name", "parameters", "licence", "download", "on this machine"),
            [
                (
                    b["name"],
                    b["parameters"],
                    b["licence"],
                    f"{KNOWN_BASES[str(b['name'])].size_bytes / 1e6:.0f} MB",
                    "✓ ready" if b["ready"] else "– not yet: models pull",
                )
                for b in bases
            ],
        )
    )
    console.print(table_of("Variants", ("name", "what it is"), [(v["name"], v["what"]) for v in variants]))


@models_app.command("pull")
def pull_model(
    base: str = typer.Argument("smollm2-135m", help="A known name, or a hub id such as owner/name."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object at the end."),
) -> None:
    """Fetch a base model once; a second call finds it ready. An interrupted one goes on where it was.

    \b
    Examples:
      turncoat models pull
      turncoat models pull Qwen/Qwen3-4B
    """
    from turncoat.models.bases import pull

    from .output import print_json, progress
    from .terminal import plain

    console = progress(as_json)
    folder = pull(base, lambda line: console.print(plain(line)))
    if as_json:
        print_json({"name": base, "path": str(folder)})
    else:
        console.print(f"✓ {plain(base)} is ready")
