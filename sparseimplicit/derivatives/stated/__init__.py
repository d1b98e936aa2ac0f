"""Local terms as they are stated: functions, unknowns by index or stencil, parameters, data."""
