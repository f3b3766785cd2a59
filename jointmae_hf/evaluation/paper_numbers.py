"""Numbers reported in the Joint-MAE paper, which our tables show next to ours.

Source: Guo et al., "Joint-MAE: 2D-3D Joint Masked Autoencoders for 3D Point Cloud Pre-training", arXiv 2302.14007,
Sec. 4. Pre-trained on 57,448 shapes of ShapeNet; nothing here was measured by us.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperNumber:
    """Hold one cell of a table in the paper.

    Args:
        table (`int`):
            Number of the table.
        row (`str`):
            Method or setting, named as in our own tables.
        column (`str`):
            Metric and dataset.
        value (`float`):
            In percent.
        std (`float`, *optional*):
            Standard deviation over ten folds, in percent, if the paper reports it.
    """

    table: int
    row: str
    column: str
    value: float
    std: float | None = None


def _rows(table: int, columns: tuple[str, ...], rows: dict[str, tuple[float, ...]]) -> tuple[PaperNumber, ...]:
    """Return the cells of a table given by rows."""
    return tuple(
        PaperNumber(table, row, column, value)
        for row, values in rows.items()
        for column, value in zip(columns, values, strict=True)
    )


_FEW_SHOT = {
    "5-way 10-shot": {"from scratch": (87.8, 5.2), "Point-MAE": (96.3, 2.5), "Joint-MAE": (96.7, 2.2)},
    "5-way 20-shot": {"from scratch": (93.3, 4.3), "Point-MAE": (97.8, 1.8), "Joint-MAE": (97.9, 1.8)},
    "10-way 10-shot": {"from scratch": (84.6, 5.5), "Point-MAE": (92.6, 4.1), "Joint-MAE": (92.6, 3.7)},
    "10-way 20-shot": {"from scratch": (89.4, 6.3), "Point-MAE": (95.0, 3.0), "Joint-MAE": (95.1, 2.6)},
}

PAPER_NUMBERS: tuple[PaperNumber, ...] = (
    *_rows(1, ("linear SVM, ModelNet40",), {"Point-BERT": (87.4,), "Point-MAE": (91.0,), "Joint-MAE": (92.4,)}),
    *_rows(
        2,
        ("accuracy, ModelNet40",),
        {"Point-BERT": (93.2,), "Point-MAE": (93.8,), "MaskPoint": (93.8,), "Joint-MAE": (94.0,)},
    ),
    *_rows(
        3,
        ("OBJ-BG", "OBJ-ONLY", "PB-T50-RS"),
        {
            "from scratch": (79.86, 80.55, 77.24),
            "Point-BERT": (87.43, 88.12, 83.07),
            "Point-MAE": (90.02, 88.29, 85.18),
            "Joint-MAE": (90.94, 88.86, 86.07),
        },
    ),
    *(
        PaperNumber(4, row, column, value, std)
        for column, rows in _FEW_SHOT.items()
        for row, (value, std) in rows.items()
    ),
    *_rows(
        5,
        ("class mIoU", "instance mIoU"),
        {"from scratch": (83.42, 85.10), "Point-BERT": (84.11, 85.60), "Joint-MAE": (85.41, 86.28)},
    ),
    PaperNumber(5, "Point-MAE", "instance mIoU", 86.10),
    *_rows(
        6,
        ("linear SVM, ModelNet40",),
        {
            "2D-3D global, 3D-2D global": (91.7,),
            "2D-3D local, 3D-2D global": (91.8,),
            "2D-3D global, 3D-2D local": (92.0,),
            "2D-3D local, 3D-2D local": (92.4,),
        },
    ),
    *_rows(
        7,
        ("linear SVM, ModelNet40",),
        {
            "full": (92.4,),
            "flat 3D embedding": (91.2,),
            "flat 2D embedding": (91.4,),
            "no modal-shared decoder": (91.8,),
        },
    ),
    *_rows(
        8,
        ("linear SVM, ModelNet40",),
        {
            "no cross-reconstruction": (91.1,),
            "1 view": (91.6,),
            "4 views": (92.4,),
            "4 views, rendered": (91.9,),
        },
    ),
)
"""Every number of the paper that one of our commands reports next to its own."""


def paper_number(table: int, row: str, column: str) -> PaperNumber | None:
    """Look up a number of the paper.

    Args:
        table (`int`):
            Number of the table, 1 to 8.
        row (`str`):
            Row, as in `PAPER_NUMBERS`.
        column (`str`):
            Column, as in `PAPER_NUMBERS`.

    Returns:
        `PaperNumber`, *optional*: The number, or `None` if the paper does not report it.

    Raises:
        ValueError: If the paper has no such table.
    """
    if table not in {number.table for number in PAPER_NUMBERS}:
        raise ValueError(f"`table` must be one of the paper's, 1 to 8, got {table}.")
    found = (number for number in PAPER_NUMBERS if (number.table, number.row, number.column) == (table, row, column))
    return next(found, None)
