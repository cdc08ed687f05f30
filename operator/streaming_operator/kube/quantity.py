"""Amounts as Kubernetes writes them, by the official client's own reader. Pure."""

from decimal import Decimal

from kubernetes.utils.quantity import parse_quantity


def quantity(text: str | int | float) -> Decimal | None:
    """The amount that *text* writes (`1500m`, `2Gi`); None when it is none."""
    try:
        return Decimal(parse_quantity(text))  # type: ignore[no-untyped-call]
    except ValueError:
        return None
