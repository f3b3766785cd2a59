"""Checks of the Hub on the metadata of a `README.md`: YAML that parses, and keys of the right type."""

import re

import yaml


COMMON_LICENSES = """
apache-2.0 mit openrail bsd bsd-2-clause bsd-3-clause cc cc0-1.0 cc-by-2.0 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0
cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-4.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 gpl gpl-2.0 gpl-3.0 lgpl lgpl-3.0 agpl-3.0 mpl-2.0
isc wtfpl unlicense zlib odc-by odbl pddl other unknown
"""
LICENSES = COMMON_LICENSES.split()  # a part of the Hub's list
TYPES = {
    "model-index": list,
    "library_name": str,
    "pipeline_tag": str,
    "license": (str, list),
    "tags": list,
    "datasets": (str, list),
    "metrics": (str, list),
    "language": (str, list),
    "base_model": (str, list),
}


def as_list(value):
    return [] if value is None else value if isinstance(value, list) else [value]


def front_matter(text):
    match = re.match(r"\s*---\r?\n(.*?)\r?\n---", text, re.DOTALL)
    data = yaml.safe_load(match[1]) if match else {}
    return data if isinstance(data, dict) else {}


def check_card(text):
    """Return errors and warnings in the format of the Hub."""
    try:
        card = front_matter(text)
    except yaml.YAMLError as error:
        return [{"message": str(error)}], []
    errors = [
        {"message": f'"{key}" must be of type {kind}'}
        for key, kind in TYPES.items()
        if key in card and not isinstance(card[key], kind)
    ]
    unknown = [name for name in as_list(card.get("license")) if name not in LICENSES]
    errors += [{"message": f'"license" must be one of {LICENSES}, got {name}'} for name in unknown]
    warnings = [] if card else [{"message": "empty or missing yaml metadata in repo card"}]
    return errors, warnings


def card_tags(card):
    """Return the tags that the Hub derives from a card."""
    datasets = [f"dataset:{name}" for name in as_list(card.get("datasets"))]
    license_tag = f"license:{card['license']}" if card.get("license") else None
    tags = [card.get("library_name"), *as_list(card.get("tags")), card.get("pipeline_tag"), *datasets, license_tag]
    return [tag for tag in tags if tag]
