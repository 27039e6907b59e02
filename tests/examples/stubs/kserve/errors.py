"""Of kserve 0.21.0: answered with 400."""


class InvalidInput(ValueError): ...  # noqa: N818
