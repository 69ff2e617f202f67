"""How the property tests draw their examples."""

from hypothesis import HealthCheck, settings


def draw_examples(count: int) -> settings:
    """Return the settings of a property test: the same examples in every run, however slow."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
