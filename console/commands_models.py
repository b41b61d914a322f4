"""`turncoat models`: what base models and variants there are, and how one is fetched."""

from __future__ import annotations

import typer

models_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="List base models and variants; fetch a base."
)


@models_app.command("list")
def list_models(as_json: bool = typer.Option(False, "--json", help="Print one JSON object.")) -> None:
    """Show known bases and the shipped variants.

    And which bases are on this machine.

    \b
    Example:
      turncoat models list
    """
    from turncoat.models.bases import turncoat_home
    from turncoat.models.memory import FORMULA

    from .model_listing import base_columns, base_row, known_bases, shipped_variants
    from .output import print_json, results
    from .tables import table_of

    bases, variants = known_bases(), shipped_variants()
    if as_json:
        print_json({"home": str(turncoat_home()), "bases": bases, "memory": FORMULA, "variants": variants})
        return
    console = results()
    console.print(
        table_of("Base models (download, disk and memory in GB)", base_columns(), [base_row(base) for base in bases])
    )
    console.print(
        f"Fetch one: turncoat models pull NAME. Memory: {FORMULA}. NAME@4bit packs the weights, on a GPU.",
        markup=False,
        highlight=False,
    )
    for base in bases:
        if base["own_terms"]:
            console.print(f"{base['name']}: {base['licence']} terms, {base['licence_url']}", markup=False)
    console.print("Any folder of safetensors, .gguf file or hub id (owner/name) will do as well.\n", markup=False)
    console.print(table_of("Variants", ("name", "what it is"), [(v["name"], v["what"]) for v in variants]))


@models_app.command("pull")
def pull_model(
    base: str = typer.Argument("smollm2-135m", help="A known name, or a hub id such as owner/name."),
    as_json: bool = typer.Option(False, "--json", help="Print one JSON object at the end."),
) -> None:
    """Fetch a base model once; a second call finds it ready. An interrupted one goes on where it was.

    A model that is not open source comes under its own terms: the first line names them. The hub gives some models only to
    accounts that have accepted these; set HF_TOKEN for them.

    \b
    Examples:
      turncoat models pull
      turncoat models pull gemma3-270m
      turncoat models pull Qwen/Qwen3-4B
    """
    from turncoat.models.bases import pull

    from .output import print_json, progress
    from .terminal import plain

    console = progress(as_json)
    folder = pull(base, lambda line: console.print(plain(line), soft_wrap=True))
    if as_json:
        print_json({"name": base, "path": str(folder)})
    else:
        console.print(f"✓ {plain(base)} is ready")
