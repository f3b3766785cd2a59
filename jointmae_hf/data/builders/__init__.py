"""Builders of the datasets that `load_point_clouds` knows."""
