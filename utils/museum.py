"""The door to the kit's museum: layers with one fault each, and the formulas of published ones."""

from normdoctor.museum import EXHIBITS, PUBLISHED, Exhibit

__all__ = ["EXHIBITS", "PUBLISHED", "Exhibit"]
