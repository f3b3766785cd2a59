"""Licenses of training data on a model card: what they forbid, and the credits that they ask for."""

from collections import Counter
from collections.abc import Mapping, Sequence

from jointmae_hf.data.licenses import license_terms

from .model_card_facts import TrainingData


CREDITS_NAME = "CREDITS.md"
"""File next to the card with the credits, if there are too many for the card."""

MAX_CREDITS_ON_CARD = 12


def license_notices(training_data: Sequence[TrainingData]) -> list[str]:
    """Return a line for each license of the data that restricts what may be shared, or is not known.

    Args:
        training_data (sequence of [`TrainingData`]):
            All datasets that the weights were trained on.

    Returns:
        `list[str]`: Markdown, without bullets.
    """
    notices = []
    for data in training_data:
        terms: Mapping[str, int | None] = data.licenses or {data.license or "": data.num_samples}
        for license, number in terms.items():
            clouds = f"{number:,} clouds of {data.name}" if number is not None else data.name
            if license_terms(license) == "restricted":
                notices.append(
                    f"**Restricted:** {clouds}: {license}. Check whether these weights may be shared or used commercially."
                )
            elif license_terms(license) == "unknown":
                notices.append(
                    f"**License not known:** {clouds}{f': {license}' if license else ''}. Check it before you share these weights."
                )
    return notices


def credit_lines(training_data: Sequence[TrainingData]) -> list[str]:
    """Return the credits that the licenses of single clouds ask for.

    Args:
        training_data (sequence of [`TrainingData`]):
            All datasets that the weights were trained on. Equal credits of several are joined.

    Returns:
        `list[str]`: Credit, license and number of clouds, sorted by license.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for data in training_data:
        for item in data.credits:
            counts[item["license"], item["credit"] or "(the data name no one)"] += item["num_samples"]
    return [f"{credit}, {license} ({number:,})" for (license, credit), number in sorted(counts.items())]


def credits_summary(training_data: Sequence[TrainingData]) -> list[str]:
    """Return the section on credits of a card: all of them, or their number and a link to the file that has them.

    Args:
        training_data (sequence of [`TrainingData`]):
            All datasets that the weights were trained on.

    Returns:
        `list[str]`: Markdown, line by line; nothing without credits.
    """
    lines = credit_lines(training_data)
    if not lines:
        return []
    licenses = sorted({item["license"] for data in training_data for item in data.credits})
    asked = f"These licenses ask for credit: {', '.join(licenses)}."
    if len(lines) <= MAX_CREDITS_ON_CARD:
        return [f"{asked} Credit, license and number of clouds:", "", *(f"- {line}" for line in lines)]
    number = sum(item["num_samples"] for data in training_data for item in data.credits)
    return [f"{asked} [{CREDITS_NAME}]({CREDITS_NAME}) has all {len(lines):,} credits, for {number:,} clouds."]


def render_credits(title: str, training_data: Sequence[TrainingData]) -> str | None:
    """Return the file [`CREDITS_NAME`] of a checkpoint.

    Args:
        title (`str`):
            Name of the model.
        training_data (sequence of [`TrainingData`]):
            All datasets that the weights were trained on.

    Returns:
        `str`, *optional*: Markdown; `None` if the card has room for all credits.
    """
    lines = credit_lines(training_data)
    if len(lines) <= MAX_CREDITS_ON_CARD:
        return None
    intro = f"{title} was trained on point clouds of these authors. Credit, license and number of clouds:"
    return "\n".join([f"# Credits of {title}", "", intro, "", *(f"- {line}" for line in lines)]) + "\n"
