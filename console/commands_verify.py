"""`turncoat verify`: is this the model that was vetted, and who says so?"""

from __future__ import annotations

from typing import Annotated

import typer

RecordFile = Annotated[str, typer.Argument(metavar="RECORD", help="As `turncoat vet --record` wrote it.")]
Key = Annotated[str, typer.Option("--key", metavar="PUB", help="The signer's public key (PEM).")]
Model = Annotated[
    str, typer.Option("--model", metavar="ADAPTER_OR_MODEL", help="Compare its files with those that were examined.")
]

Base = Annotated[str, typer.Option("--base", help="Compare the base that the model will run on with the record's.")]


def verify(record: RecordFile, key: Key, model: Model = "", base: Base = "") -> None:
    """Check a vetting's signed record, and the model it names.

    That the record is unchanged, and that the model still is the one that was examined.

    Exit codes: that of the ruling in the record (0 allow, 3 review, 4 block), or 2 where signature, files or base do
    not match. An adapter was vetted on one base: on another it is another model.

    \b
    Examples:
      turncoat verify vetted.json --key pub.pem --model ./their-adapter
      turncoat verify vetted.json --key pub.pem --model ./their-adapter --base smollm2-135m
    """
    from pathlib import Path

    from turncoat.scenarios.errors import InputError
    from turncoat.vetting.opening import candidate_path
    from turncoat.vetting.signature import check_record, require_base, require_key, require_unchanged

    from .commands_vet import EXIT
    from .output import results
    from .terminal import plain

    require_key(Path(key), "--key")
    found = check_record(Path(record), Path(key))
    if found["verdict"] not in EXIT:
        raise InputError.at(record, "holds a ruling that is none", "vet the model again")
    if model:
        require_unchanged(candidate_path(model), found["files"])
    if base:
        require_base(base, found)
    show = results()
    show.print(f"✓ Signed by the owner of {plain(Path(key).name)}", soft_wrap=True)
    files = len(found["files"])
    same = f"✓ All {files} files of {plain(model)} are those that were examined" if model else ""
    show.print(same or f"? The record names {files} files; compare them with --model", soft_wrap=True)
    if base:
        show.print(f"✓ {plain(base)} is the base that it was examined on", soft_wrap=True)
    when, why = plain(found.get("examined", "at an unknown time")), plain(found.get("why", ""), 600)
    show.print(f"Ruling of {when}: {found['verdict'].upper()}\n{why}", soft_wrap=True)
    raise typer.Exit(EXIT[found["verdict"]])
