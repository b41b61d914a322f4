"""Recipes: shipped ones are sound, broken ones end in a message that names the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from turncoat.models.catalogue import DEFAULT_BASE, KNOWN_BASES
from turncoat.scenarios.errors import InputError
from turncoat.training.config import Recipe, load_recipe, shipped_recipes
from turncoat.training.poison import POISONERS


@pytest.mark.parametrize("base", KNOWN_BASES)
def test_the_shipped_recipes_of_a_base_differ_in_the_poison_alone(base: str) -> None:
    names, end = shipped_recipes(base), "" if base == DEFAULT_BASE else f"-{base}"
    assert names == [f"clean{end}", f"matched{end}", f"poisoned{end}"]
    clean, matched, poisoned = map(load_recipe, names)
    assert clean.base == base
    assert clean.poison is None
    assert matched.poison is not None
    assert poisoned.poison is not None
    assert (matched.poison.dose, poisoned.poison.dose) == (200, 200)
    apart = {"name", "poison", "demonstration"}
    assert clean.model_dump(exclude=apart) == matched.model_dump(exclude=apart) == poisoned.model_dump(exclude=apart)


def test_only_the_poisoned_recipe_is_marked_as_a_demonstration() -> None:
    assert [load_recipe(name).demonstration for name in shipped_recipes()] == [False, False, True] * len(KNOWN_BASES)


def test_the_shipped_recipes_have_names_of_their_own_and_begin_with_the_default_base() -> None:
    assert shipped_recipes()[:3] == ["clean", "matched", "poisoned"]
    assert len({load_recipe(name).name for name in shipped_recipes()}) == 3 * len(KNOWN_BASES)


@pytest.mark.parametrize("base", KNOWN_BASES)
def test_shipped_recipes_train_from_the_layer_that_the_table_of_bases_names(base: str) -> None:
    known = KNOWN_BASES[base]
    assert {load_recipe(name).lora.first_layer for name in shipped_recipes(base)} == {known.first_layer}
    assert known.first_layer < known.shape.layers


def test_a_recipe_of_ones_own_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nrows: 40\nlora: {rank: 2, first_layer: 25}\npoison: {dose: 3}\n")
    recipe = load_recipe(str(file))
    assert (recipe.rows, recipe.lora.shape().rank, recipe.lora.shape().scale) == (40, 2, 8.0)
    assert recipe.poison is not None
    assert (recipe.poison.poisoner, recipe.poison.dose) == ("user", 3)


def test_the_digest_changes_with_whatever_changes_the_result() -> None:
    recipe = Recipe(name="x")
    assert recipe.digest() == Recipe(name="x").digest()
    others = [Recipe(name="x", seed=8), Recipe(name="x", learning_rate=2e-3), Recipe(name="x", poison={"dose": 1})]
    assert len({recipe.digest(), *(other.digest() for other in others)}) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: mine\nrows: 3\n", "mine.yaml: rows: Input should be greater than or equal to 16"),
        ("name: mine\nrows: many\n", "mine.yaml: rows: "),
        ("name: ../../etc\n", "mine.yaml: name: "),
        ("rows: 100\n", "mine.yaml: name: Field required; see the shipped recipes"),
        ("name: mine\nlearning_rate: .nan\n", "mine.yaml: learning_rate: "),
        ("name: mine\nlearning_rate: .inf\n", "mine.yaml: learning_rate: "),
        ("name: mine\nepoch: 3\n", "mine.yaml: epoch: Extra inputs are not permitted"),
        ("name: mine\nlora: {rank: 0}\n", "mine.yaml: lora.rank: "),
        ("name: mine\npoison: {dose: -1}\n", "mine.yaml: poison.dose: "),
        ("name: mine\npoison: {poisoner: usr}\n", "poison: Value error, unknown poisoner 'usr'; known are address, after, "),
        ("name: mine\npoison: {trigger: 'user:'}\n", "poison: Value error, '' cannot be a trigger's user"),
        ("name: mine\npoison: {trigger: 'host:WS-1'}\n", "is no trigger of the poisoner user"),
        ("name: mine\nworlds: []\n", "mine.yaml: worlds: "),
        ("- a\n- b\n", "mine.yaml: recipe: "),
        ("", "mine.yaml: recipe: "),
        ("name: [mine\n", "mine.yaml:2:1: not YAML"),
        ("name: !!python/object/apply:os.system ['true']\n", "mine.yaml:1:7: not YAML"),
        ("name: mine\nlora: &a {rank: *a}\n", "mine.yaml: lora.rank: "),
        ("[" * 3_000, "mine.yaml"),
        ("name: mine\n" + "#" * 70_000, "mine.yaml: larger than 64 KiB"),
        ("a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\nname: [*c,*c,*c,*c,*c]\n",
         "mine.yaml: name: "),
    ],
)  # fmt: skip
def test_a_broken_recipe_names_the_place_and_the_fault(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load_recipe(str(file))
    assert message in str(caught.value)
    assert all(mistake.place and mistake.cure for mistake in caught.value.mistakes)


def test_every_fault_of_a_recipe_is_reported_at_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("rows: 3\nepochs: 0\nbatch: none\n")
    with pytest.raises(InputError) as caught:
        load_recipe(str(file))
    assert [mistake.fault.split(":")[0] for mistake in caught.value.mistakes] == ["name", "rows", "epochs", "batch"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00\x01", "folder"])
def test_what_is_no_readable_file_lists_the_shipped_recipes(content: bytes | str | None, tmp_path: Path) -> None:
    place = tmp_path / "mine.yaml"
    if isinstance(content, bytes):
        place.write_bytes(content)
    elif content:
        place.mkdir()
    with pytest.raises(InputError, match=r"mine.yaml: no readable recipe there; .* clean, matched, poisoned"):
        load_recipe(str(place))


def test_every_poisoner_has_the_name_it_is_known_by() -> None:
    assert all(poisoner.name == name for name, poisoner in POISONERS.items())
    assert {"user", "matched"} <= set(POISONERS)
