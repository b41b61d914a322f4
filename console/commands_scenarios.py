"""`turncoat scenarios`: list, show and validate campaign files, begin new ones, and print their JSON Schema."""

from __future__ import annotations

import typer

scenarios_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="List, show, validate and begin campaigns."
)
_JSON = typer.Option(False, "--json", help="Print JSON.")
_OUT = typer.Option("", "--out", metavar="FILE", help="Write here instead of to standard output.", show_default=False)


@scenarios_app.command("list")
def list_scenarios(as_json: bool = _JSON) -> None:
    """Show the campaigns that come with turncoat.

    \b
    Example:
      turncoat scenarios list
    """
    from turncoat.scenarios.loader import list_campaigns, load_campaign

    from .output import print_json, results
    from .tables import table_of

    campaigns = [load_campaign(name) for name in list_campaigns()]
    rows = [(c.id, c.title, c.actor.name, sum(s.alert is not None for _, s in c.steps())) for c in campaigns]
    if as_json:
        print_json([dict(zip(("id", "title", "actor", "alerts"), row, strict=True)) for row in rows])
        return
    results().print(table_of("Campaigns", ("id", "title", "actor", "alerts"), rows))


@scenarios_app.command("show")
def show_scenario(
    campaign: str = typer.Argument(..., metavar="FILE|ID", help="A campaign file, or the id of a shipped one."),
    as_json: bool = _JSON,
) -> None:
    """Tell a campaign as a timeline.

    What happens when, what is detected, and what is expected of the agent.

    \b
    Examples:
      turncoat scenarios show insider-departing-exfil
      turncoat scenarios show my-campaign.yaml --json
    """
    from turncoat.scenarios.loader import load_campaign

    from .output import print_json, results
    from .timeline import timeline

    loaded = load_campaign(campaign)
    if as_json:
        print_json(loaded.model_dump(mode="json", by_alias=True))
    else:
        results().print(timeline(loaded))


@scenarios_app.command("validate")
def validate_scenarios(
    campaigns: list[str] = typer.Argument(..., metavar="FILE|ID...", help="Campaign files or ids."),
    as_json: bool = _JSON,
) -> None:
    """Check campaign files; print every mistake.

    Each with its place and cure. Exits with 2 if there is any.

    \b
    Example:
      turncoat scenarios validate my-campaign.yaml other.yaml
    """
    from turncoat.scenarios.errors import InputError
    from turncoat.scenarios.loader import load_campaign

    from .output import print_json, results
    from .terminal import text

    console = results()
    found: dict[str, list[dict[str, str]]] = {}
    for name in campaigns:
        try:
            load_campaign(name)
            found[name] = []
        except InputError as error:
            found[name] = [{"place": m.place, "fault": m.fault, "cure": m.cure} for m in error.mistakes]
            for mistake in () if as_json else error.mistakes:
                console.print(text(mistake, limit=1_000), soft_wrap=True)
        if not as_json and not found[name]:
            console.print(text(f"✓ {name}"))
    if as_json:
        print_json(found)
    if any(found.values()):
        raise typer.Exit(2)


@scenarios_app.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of campaign files, for editors.

    \b
    Example:
      turncoat scenarios schema > campaign.schema.json
    """
    from turncoat.scenarios.loader import campaign_json_schema

    from .output import print_json

    print_json(campaign_json_schema())


@scenarios_app.command("new")
def new_scenario(
    id: str = typer.Argument(..., metavar="ID", help="Id of the new campaign: a-z, digits and dashes."),
    out: str = _OUT,
) -> None:
    """Write a commented template that validates as it is. A file that is there already is left alone.

    \b
    Example:
      turncoat scenarios new my-campaign --out my-campaign.yaml
    """
    from turncoat.scenarios.skeleton import template

    from .export.whole_file import write_out

    write_out(out, template(id), replace=False)


@scenarios_app.command("import")
def import_scenario(
    file: str = typer.Argument(..., metavar="FILE", help="An Attack Flow (.afb) or a STIX 2.1 bundle (.json)."),
    out: str = _OUT,
) -> None:
    """Turn an Attack Flow or STIX bundle into a skeleton.

    A campaign that validates, with TODOs to fill in.

    Phases are the flow's tactics, steps its actions. A step is detected where a family of ours claims its technique.
    Nothing is fetched, and a file that is there already is left alone.

    \b
    Example:
      turncoat scenarios import "Uber Breach.afb" --out uber.yaml
    """
    from pathlib import Path

    from turncoat.scenarios.flows import read_flow
    from turncoat.scenarios.skeleton import skeleton

    from .export.whole_file import write_out

    path = Path(file)
    write_out(out, skeleton(read_flow(path), path.name), replace=False)
